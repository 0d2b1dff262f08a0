from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.database import Database
from tests.conftest import Stack
from tests.tenancy.tenants import Route, Tenant, make_tenant, routes_of


@pytest.fixture(scope="package")
async def anyone(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key at the server's root."""
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="package")
async def routes(anyone: httpx.AsyncClient) -> list[Route]:
    return await routes_of(anyone)


@pytest.fixture(scope="package")
async def owner(anyone: httpx.AsyncClient, database: Database) -> Tenant:
    return await make_tenant(anyone, database)


@pytest.fixture(scope="package")
async def stranger(anyone: httpx.AsyncClient, database: Database) -> Tenant:
    return await make_tenant(anyone, database)
