import pytest

from app.core.database import Database
from tests.admin.conftest import Browser, BrowserOf
from tests.agents.definitions import make_host
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.factories import Organization


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database, tools=["replicate_generate"])


@pytest.fixture
async def owner(browser_of: BrowserOf, host: Organization) -> Browser:
    return await browser_of("owner", host)


@pytest.fixture
def upstream(stack: Stack) -> UpstreamLog:
    return UpstreamLog(stack.simulator.log)
