import asyncio
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.core.database import Database
from devstack.ports import free_port
from devstack.probe import answers_ok
from devstack.servers import EmbeddedServers
from tests import factories, programs
from tests.conftest import METRICS_TOKEN
from tests.core.sites import furnish, settings_of
from tests.observe.observed import Observed
from tests.waiting import until

# It takes minutes: `make observe-load`. Named, it is collected without the variable, too.
collect_ignore = [] if os.environ.get("FULL") == "1" else ["test_series.py"]


@pytest.fixture(scope="module")
async def observed(environment: dict[str, str], run_folder: Path) -> AsyncIterator[Observed]:
    port = free_port()
    folder = run_folder / "observed"
    with EmbeddedServers(folder, durable=False) as servers:
        site = environment | {
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "WORKER_METRICS_PORT": str(port),
            "LOCAL_STORAGE_DIR": str(folder / "objects"),
            "CHAT_TURN_TIMEOUT_SECONDS": "5",
        }
        await furnish(site, run_folder)
        database = Database.open(settings_of(site))
        try:
            with (
                programs.running_api(site, folder / "api.log") as url,
                programs.running_worker({**site, "PUBLIC_URL": url}, folder / "worker.log"),
            ):
                # A worker answers nobody else, so it counts as ready before it is.
                await until(partial(asyncio.to_thread, answers_ok, f"http://127.0.0.1:{port}/metrics"))
                organization = await factories.make_organization(database)
                metrics_of_worker = f"http://127.0.0.1:{port}"
                yield Observed(url, metrics_of_worker, METRICS_TOKEN, database, organization, folder / "objects")
        finally:
            await database.close()


@pytest.fixture
async def http(observed: Observed) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the organization's at the base of the API."""
    async with httpx.AsyncClient(
        base_url=f"{observed.api}/api/external", headers=observed.organization.headers, timeout=60
    ) as opened:
        yield opened
