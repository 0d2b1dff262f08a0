from collections.abc import AsyncIterator

import pytest

from app.core.database import Database
from tests import factories
from tests.clocks import Clocks
from tests.credits.accounts import Account


@pytest.fixture
async def account(database: Database) -> AsyncIterator[Account]:
    """An account with 7 credits; its books must balance when the test ends."""
    opened = Account(database, await factories.make_organization(database, credit="7"))
    yield opened
    await opened.check()


@pytest.fixture
def clocks(environment: dict[str, str], database: Database) -> Clocks:
    """Lets Postgres believe that it is another time."""
    return Clocks(environment, database)
