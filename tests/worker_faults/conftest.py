"""Sites of their own, with settings and workers that tests may change or kill as they like."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import asyncpg
import pytest
from redis.asyncio import Redis

from tests import factories
from tests.core.sites import new_site
from tests.vendors_simulator import VendorsSimulator, vendors_simulator
from tests.worker.workbench import Workbench, open_workbench
from tests.worker_faults.plans import AT_ONCE, NAME, allow
from tests.worker_faults.webhooks import NEW_SECRET, OLD_SECRET

# Key spaces of Redis that no site of another folder uses. Redis has only sixteen, so the sites of this folder reuse
# them in turn. That is safe, because the programs of a module end with it.
_TEMPLATE_KEY_SPACE = 8
_KEY_SPACES = range(9, 16)


class NewSite(Protocol):
    async def __call__(self, **settings: str) -> dict[str, str]:
        """The settings of a new site: those of the test run, with its own database, key space and store."""
        ...


@pytest.fixture(scope="session")
async def template(environment: dict[str, str], run_folder: Path) -> dict[str, str]:
    """A site that is only copied, because its schema takes a while to create."""
    return await new_site(environment, run_folder, redis_number=_TEMPLATE_KEY_SPACE)


@pytest.fixture(scope="session")
def make_site(template: dict[str, str], environment: dict[str, str], run_folder: Path) -> NewSite:
    """Makes sites."""
    key_spaces = cycle(_KEY_SPACES)

    async def copy(**settings: str) -> dict[str, str]:
        name = f"site_{secrets.token_hex(6)}"
        connection = await asyncpg.connect(environment["DATABASE_URL"])
        try:
            original = urlsplit(template["DATABASE_URL"]).path.removeprefix("/")
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {original}")
        finally:
            await connection.close()
        redis_url = urlsplit(environment["REDIS_URL"])._replace(path=f"/{next(key_spaces)}").geturl()
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
        return {
            **environment,
            "DATABASE_URL": urlsplit(environment["DATABASE_URL"])._replace(path=f"/{name}").geturl(),
            "REDIS_URL": redis_url,
            "LOCAL_STORAGE_DIR": str(run_folder / f"objects-{name}"),
            "PUBLIC_URL": "http://localhost",
            **settings,
        }

    return copy


@pytest.fixture(scope="module")
async def site(make_site: NewSite) -> dict[str, str]:
    """The module's own site."""
    return await make_site()


@pytest.fixture
async def workbench(site: dict[str, str], vendors: VendorsSimulator) -> AsyncIterator[Workbench]:
    """The workbench of a new organization at the module's site."""
    async with open_workbench(site, vendors) as opened:
        yield opened


@pytest.fixture
async def busy(workbench: Workbench) -> Workbench:
    """An organization whose plan allows few generations at once."""
    await allow(workbench, AT_ONCE)
    organization = await factories.make_organization(workbench.resources.database, plan=NAME)
    return replace(workbench, organization=organization)


@pytest.fixture(scope="session")
def signing_vendors() -> Iterator[VendorsSimulator]:
    """Vendors that sign their webhooks with two secrets, as if one were being replaced."""
    with vendors_simulator("--seed", "1", "--webhook-secret", NEW_SECRET, "--old-webhook-secret", OLD_SECRET) as opened:
        yield opened
