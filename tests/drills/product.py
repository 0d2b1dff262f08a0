"""The product as it is drilled: two API processes and a worker over stores that a test breaks."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app.core.database import Database
from devstack import product
from devstack.ports import free_port
from devstack.probe import answers_ok
from devstack.programs import Program
from devstack.valkey import Valkey
from tests import factories
from tests.core.sites import furnish, settings_of
from tests.factories import Organization
from tests.programs import Api, api_process, as_server, running_apis
from tests.vendors_simulator import VendorsSimulator
from tests.waiting import until


@dataclass(frozen=True)
class Product:
    """The running product.

    Attributes:
        settings: those of all processes.
        apis: the API processes.
        worker: the worker.
        database: its Postgres, for the test.
        organization: somebody with credits and a key.
        vendors: whom it buys from.
    """

    settings: dict[str, str]
    apis: Sequence[Api]
    worker: Program
    database: Database
    organization: Organization
    vendors: VendorsSimulator

    @property
    def base_urls(self) -> list[str]:
        """Where clients reach it."""
        return [api.base_url for api in self.apis]

    async def readiness(self, number: int = 0) -> tuple[int, dict[str, Any]]:
        """Status and body of `/readyz` of one of the APIs."""
        async with httpx.AsyncClient(timeout=30) as client:
            response = await client.get(f"{self.apis[number].url}/readyz")
        return response.status_code, response.json()

    async def shows(self, **states: str) -> None:
        """Wait until all APIs show these states in `/readyz`."""

        async def are_shown() -> bool:
            bodies = [(await self.readiness(number))[1] for number in range(len(self.apis))]
            return all(states.items() <= body.items() for body in bodies)

        await until(are_shown)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of what all processes say."""
        token = {"Authorization": f"Bearer {self.settings['METRICS_TOKEN']}"}
        urls = [*(api.url for api in self.apis), f"http://127.0.0.1:{self.settings['WORKER_METRICS_PORT']}"]
        async with httpx.AsyncClient(timeout=30, headers=token) as client:
            texts = [(await client.get(f"{url}/metrics")).raise_for_status().text for url in urls]
        families = [family for text in texts for family in text_string_to_metric_families(text)]
        samples = [sample for family in families for sample in family.samples]
        wanted = set(labels.items())
        return sum(s.value for s in samples if s.name == name and wanted <= set(s.labels.items()))

    def check_alive(self) -> None:
        """Check that no process has ended."""
        running = [*(api.program for api in self.apis), self.worker]
        assert [program.name for program in running if not program.is_alive] == []


@asynccontextmanager
async def running_product(
    environment: Mapping[str, str],
    vendors: VendorsSimulator,
    folder: Path,
    settings: Mapping[str, str],
    *,
    apis: int = 2,
) -> AsyncIterator[Product]:
    """Migrate the database, and run the product during the block.

    Args:
        environment: the run's settings.
        vendors: whom it buys from.
        folder: for logs, and for the outputs unless the settings say where they go.
        apis: how many API processes.
        settings: what is different here: `DATABASE_URL` and `REDIS_URL` at least.
    """
    made(folder)
    own = {"LOCAL_STORAGE_DIR": str(folder / "objects"), "WORKER_METRICS_PORT": str(free_port())}
    vendor = {"LLM_BASE_URL": vendors.openai_url, "REPLICATE_BASE_URL": vendors.replicate_url}
    hosts = {"OUTPUT_HOSTS": vendors.url.removeprefix("http://")}
    site = {**environment, **own, **vendor, **hosts, **settings}
    await furnish(site, folder)
    database = Database.open(settings_of(site))
    organization = await factories.make_organization(database)
    running = [api_process(site, folder / f"api-{number}.log") for number in range(apis)]
    worker = product.worker(
        product.isolated({**as_server(site), "PUBLIC_URL": running[0].url}), folder / "worker.log", folder=folder
    )
    try:
        async with running_apis(*running):
            with worker.serving():
                # It answers nobody else, so it counts as ready before it is.
                metrics = f"http://127.0.0.1:{site['WORKER_METRICS_PORT']}/metrics"
                await until(partial(asyncio.to_thread, answers_ok, metrics))
                yield Product(site, running, worker, database, organization, vendors)
    finally:
        await asyncio.shield(database.close())


def made(folder: Path) -> Path:
    """The folder, which is made unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def running_valkey(folder: Path) -> Iterator[Valkey]:
    """A Valkey that no other test uses."""
    made(folder.parent)
    server = Valkey(folder, log=folder.with_suffix(".log"), durable=False)
    server.start()
    try:
        yield server
    finally:
        server.stop()
