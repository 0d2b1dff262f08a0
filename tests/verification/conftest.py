from collections.abc import AsyncIterator

import pytest

from app.core.database import Database
from tests.verification.books import Books, open_books


@pytest.fixture
async def books(database: Database, environment: dict[str, str]) -> AsyncIterator[Books]:
    """An organization's books with an open hold, a settled one, and a pending content."""
    async with open_books(database, environment) as opened:
        yield opened
