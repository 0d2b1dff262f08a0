"""How those who want to know are told that generations have ended. What they are told is for `app.content` to say."""

import uuid
from collections.abc import Sequence
from typing import Protocol

from app.core.database import Transaction


class Announce(Protocol):
    """Writes, in the transaction that ends generations of an organization, the events about them."""

    async def __call__(self, tx: Transaction, organization_id: str, generation_ids: Sequence[uuid.UUID]) -> None:
        """Write it."""
