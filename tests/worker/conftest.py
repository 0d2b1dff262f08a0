from collections.abc import AsyncIterator

import pytest

from app.core.database import Database
from tests.conftest import Stack
from tests.worker.workbench import Workbench, open_workbench


@pytest.fixture(scope="session")
async def workbench(stack: Stack, database: Database) -> AsyncIterator[Workbench]:
    """A workbench on the database, queue and store of the running product."""
    async with open_workbench(stack.environment, stack.simulator) as opened:
        yield opened
