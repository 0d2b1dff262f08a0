from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.admin.agents.forms import TEAM
from tests.agents.definitions import agents_file
from tests.chat.asking import open_http
from tests.conftest import Stack
from tests.factories import Organization


@pytest.fixture
async def organization(database: Database) -> Organization:
    return await factories.make_organization(database, agents=agents_file(*TEAM))


@pytest.fixture
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with open_http(stack.url) as opened:
        yield opened
