import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import hypothesis
import pytest

import app.models  # noqa: F401 - the tables of every feature, for the foreign keys between them
from app.core.database import Database
from app.core.settings import Settings
from devstack.servers import EmbeddedServers
from devstack.vendors import choose_vendors
from tests import factories, programs
from tests.factories import Organization
from tests.not_run import pytest_addoption, pytest_runtest_makereport, pytest_terminal_summary
from tests.plain_http import NO_TLS
from tests.vendors_simulator import VendorsSimulator, vendors_simulator

__all__ = ["pytest_addoption", "pytest_runtest_makereport", "pytest_terminal_summary"]

# The duration of an example depends on the machine, so there is no deadline.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

# Longer than the product waits: what tests read for themselves is not what is tested.
_STATEMENT_SECONDS = 60.0

METRICS_TOKEN = "metrics-of-the-tests"


@dataclass(frozen=True)
class Stack:
    """The whole product, running: API, worker, simulator, Postgres and Valkey."""

    url: str
    environment: dict[str, str]
    simulator: VendorsSimulator
    servers: EmbeddedServers
    folder: Path

    @property
    def base_url(self) -> str:
        return f"{self.url}/api/external"

    @property
    def objects(self) -> Path:
        return Path(self.environment["LOCAL_STORAGE_DIR"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files by nothing that their names say.

    So those that are long, and those that use a browser, are spread over the run, and do not come together at its end.
    """
    items.sort(key=lambda item: hashlib.sha256(item.location[0].encode()).digest())


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="session")
def embedded(run_folder: Path) -> Iterator[EmbeddedServers]:
    """A Postgres and a Valkey for the whole run."""
    with EmbeddedServers(run_folder / "servers", durable=False) as servers:
        yield servers


@pytest.fixture(scope="session")
def vendors() -> Iterator[VendorsSimulator]:
    """The vendors for the whole run."""
    with vendors_simulator("--seed", "1") as simulator:
        yield simulator


@pytest.fixture(scope="session")
def environment(embedded: EmbeddedServers, vendors: VendorsSimulator, run_folder: Path) -> dict[str, str]:
    """The settings that all processes of the run share, over a migrated database."""
    settings = {
        **choose_vendors({}, urlsplit(vendors.url).netloc).environ,
        "DATABASE_URL": embedded.database_url,
        "REDIS_URL": embedded.redis_url,
        "STORAGE": "local",
        "LOCAL_STORAGE_DIR": str(run_folder / "objects"),
        "SECRET_KEY": "of-the-tests",
        # Where tests receive webhooks.
        "WEBHOOK_PRIVATE_RECEIVERS": "127.0.0.1",
        "POLL_INTERVAL_SECONDS": "0.2",
        "METRICS_TOKEN": METRICS_TOKEN,
        "CONSOLE_KIT": "true",
        "CORS_ALLOWED_ORIGINS": "https://app.example.com, http://localhost:3000",
        # All tests use the same address.
        "FAILED_ATTEMPTS_PER_MINUTE": "10000",
    }
    programs.migrate(settings, run_folder)
    return settings


@pytest.fixture(scope="session")
def stack(
    environment: dict[str, str], vendors: VendorsSimulator, embedded: EmbeddedServers, run_folder: Path
) -> Iterator[Stack]:
    """The product as an operator runs it: one API process and one worker."""
    with (
        programs.running_api(environment, run_folder / "api.log") as url,
        programs.running_worker({**environment, "PUBLIC_URL": url}, run_folder / "worker.log"),
    ):
        yield Stack(url, environment, vendors, embedded, run_folder)


@pytest.fixture(scope="session")
async def database(environment: dict[str, str]) -> AsyncIterator[Database]:
    """The run's database, with the tests' own plan and prices. Tests read whole tables of it on busy machines."""
    settings = Settings.model_validate({name.lower(): value for name, value in environment.items()})
    opened = Database.open(settings, statement_seconds=_STATEMENT_SECONDS)
    await factories.import_catalog(opened)
    await factories.set_roomy_plan(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def organization(database: Database) -> Organization:
    """A new organization with 100 credits and a key with every scope."""
    return await factories.make_organization(database)


@pytest.fixture
async def client(stack: Stack, organization: Organization) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the organization's at the base of the API."""
    async with httpx.AsyncClient(
        base_url=stack.base_url, headers=organization.headers, timeout=60, verify=NO_TLS
    ) as opened:
        yield opened
