"""Every column whose values are sealed with SECRET_KEY. A test compares the list with the tables."""

from collections.abc import Sequence
from typing import Final

from app.core.sealed_columns import SealedColumn
from app.webhook_endpoints.endpoint_secrets import FORMER_SECRET, SECRET

SEALED_COLUMNS: Final[Sequence[SealedColumn]] = (SECRET, FORMER_SECRET)
