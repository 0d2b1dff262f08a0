from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.core.notes import Note, open_note
from tests.plain_http import NO_TLS
from tests.waiting import PATIENCE


@pytest.fixture(scope="session")
async def visitor(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client at the server's root that sends no key."""
    async with httpx.AsyncClient(base_url=stack.url, timeout=PATIENCE, verify=NO_TLS) as opened:
        yield opened


@pytest.fixture(scope="session")
async def customer(stack: Stack, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A client at the base of the API with a key that has every scope."""
    organization = await factories.make_organization(database)
    async with httpx.AsyncClient(
        base_url=stack.base_url, headers=organization.headers, timeout=30, verify=NO_TLS
    ) as opened:
        yield opened


@pytest.fixture
async def note(environment: dict[str, str]) -> AsyncIterator[Note]:
    async with open_note(environment) as opened:
        yield opened
