"""docs/rotation.md says of every secret how it is changed. `make rotation` does what it says."""

import re

from tests.deploy_files.test_chart_settings import secret_settings
from tests.docs.files import read
from tests.rotation.page import PAGE, marked

# Secrets of Compose that are no settings of the server.
_OF_COMPOSE = {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "SERVER_DATABASE_PASSWORD"}


def test_every_secret_is_on_the_page() -> None:
    headings = re.findall(r"^## (.+)$", read(PAGE), re.MULTILINE)
    named = set(re.findall(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+", read(PAGE)))

    assert secret_settings() | _OF_COMPOSE <= named
    assert set(marked()) <= set(headings)
