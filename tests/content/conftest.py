from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.content.gallery import Picture, generate
from tests.content.shelves import Shelf, open_shelf
from tests.plain_http import NO_TLS
from tests.waiting import PATIENCE
from tests.worker.workbench import Workbench, open_workbench


@pytest.fixture(scope="session")
async def reader(stack: Stack, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an organization that never has any content."""
    organization = await factories.make_organization(database)
    async with httpx.AsyncClient(
        base_url=stack.base_url, headers=organization.headers, timeout=PATIENCE, verify=NO_TLS
    ) as opened:
        yield opened


@pytest.fixture(scope="session")
async def five(stack: Stack, database: Database) -> AsyncIterator[Shelf]:
    """Five completed contents, made a minute apart."""
    async with open_shelf(stack, database) as shelf:
        for age in range(5):
            await shelf.add("completed", minutes_ago=age)
        yield shelf


@pytest.fixture(scope="session")
async def one_of_each(stack: Stack, database: Database) -> AsyncIterator[Shelf]:
    """A completed content of every type, and one in every other state."""
    async with open_shelf(stack, database) as shelf:
        for content_type in ("image", "video", "audio", "glb", "other"):
            await shelf.add("completed", content_type=content_type)
        for status in ("pending", "processing", "failed"):
            await shelf.add(status)
        yield shelf


@pytest.fixture(scope="session")
async def workbench(stack: Stack, database: Database) -> AsyncIterator[Workbench]:
    """A workbench on the database, queue and store of the running product."""
    async with open_workbench(stack.environment, stack.simulator) as opened:
        yield opened


@pytest.fixture(scope="session")
async def picture(stack: Stack, workbench: Workbench) -> Picture:
    """A PNG that the product has stored."""
    return await generate(workbench, stack.base_url, "simulator/image")


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key, as anyone who opens a file's URL."""
    async with httpx.AsyncClient(timeout=PATIENCE, verify=NO_TLS) as opened:
        yield opened
