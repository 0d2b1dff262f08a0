from collections.abc import AsyncIterator

import pytest

from app.core.database import Database
from tests import factories
from tests.credits.accounts import Account


@pytest.fixture
async def account(database: Database) -> AsyncIterator[Account]:
    """An account with 7 credits; its books must balance when the test ends."""
    opened = Account(database, await factories.make_organization(database, credit="7"))
    yield opened
    await opened.check()
