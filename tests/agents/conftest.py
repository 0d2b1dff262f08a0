from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.agents.definitions import agent, agents_file
from tests.chat.asking import open_http
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.factories import Organization


@pytest.fixture(scope="session")
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with open_http(stack.url) as opened:
        yield opened


@pytest.fixture
def upstream(stack: Stack) -> UpstreamLog:
    return UpstreamLog(stack.simulator.log)


@pytest.fixture
async def team(database: Database) -> Organization:
    """The host calls the writer, who calls the editor. Nobody calls the loner."""
    return await factories.make_organization(
        database,
        agents=agents_file(
            {"name": "host", "is_orchestrator": True, "sub_agents": ["writer"]},
            agent("writer", model="sim-chat", sub_agents=["editor"], instruction="Write."),
            agent("editor", model="sim-chat"),
            agent("loner", model="sim-chat"),
        ),
    )
