from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.database import Database
from tests.clocks import Clocks
from tests.conftest import Stack
from tests.waiting import PATIENCE


@pytest.fixture(scope="session")
async def stranger(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client that sends no key unless the test adds one."""
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=PATIENCE) as opened:
        yield opened


@pytest.fixture
def clocks(environment: dict[str, str], database: Database) -> Clocks:
    """Lets Postgres believe that it is another time."""
    return Clocks(environment, database)
