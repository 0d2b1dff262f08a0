"""Sites apart from the run's, whose workers the tests may treat as they like."""

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

# Key spaces of Redis that no site of another folder uses. Redis has sixteen: the sites of this folder use them in turn,
# and a site that comes to one again finds nobody there, for the programs of a module end with it.
_TEMPLATE_KEY_SPACE = 8
_KEY_SPACES = range(9, 16)


class NewSite(Protocol):
    async def __call__(self, **settings: str) -> dict[str, str]:
        """The settings of a new site: those of the run with a database, a key space and a store of its own."""
        ...


@pytest.fixture(scope="session")
async def template(environment: dict[str, str], run_folder: Path) -> dict[str, str]:
    """A site that nobody uses but to be copied: its schema takes a while to make."""
    return await new_site(environment, run_folder, redis_number=_TEMPLATE_KEY_SPACE)


@pytest.fixture(scope="session")
def new_site_like_it(template: dict[str, str], environment: dict[str, str], run_folder: Path) -> NewSite:
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
async def site(new_site_like_it: NewSite) -> dict[str, str]:
    """The module's own site."""
    return await new_site_like_it()


@pytest.fixture
async def workbench(site: dict[str, str], vendors: VendorsSimulator) -> AsyncIterator[Workbench]:
    """A new organization of the site's."""
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
    """Vendors that sign their webhooks with two secrets, as while one is being changed."""
    with vendors_simulator("--seed", "1", "--webhook-secret", NEW_SECRET, "--old-webhook-secret", OLD_SECRET) as opened:
        yield opened
