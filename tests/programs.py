"""The product's own programs as the tests run them: real processes, reached over HTTP.

They are forked from one that has loaded their modules, which saves most of the time of a start. `make quickstart`, the
chaos run, the drills and the tests of `junis` start them as an operator does.

API and worker run as the server's own role, wherever a test has migrated the database by `migrate`: so a right that the
role lacks fails a test. Tests themselves, and migrations, use the owner's.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from app.cli.server_role import ROLE
from devstack import product
from devstack.managed import require_orderly_end
from devstack.ports import free_port
from devstack.process import Process
from devstack.product import ROOT
from devstack.programs import Program, run_to_end
from tests.waiting import PATIENCE
from tests.warm_start.program import WarmProgram

__all__ = [
    "ROOT",
    "Api",
    "api_process",
    "as_server",
    "migrate",
    "migration",
    "running_api",
    "running_apis",
    "running_worker",
]

# Of the server's role in all databases of the tests.
_SERVER_PASSWORD = "server-of-the-tests"
# The owners, as `name:password`, in whose Postgres the role exists.
_OWNERS: set[str] = set()


@dataclass(frozen=True)
class Api:
    """An API process on its port."""

    port: int
    program: Program

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/api/external"

    @property
    def process(self) -> Process:
        return self.program.running

    def kill(self) -> None:
        """Kill the process, as a crash would."""
        self.program.kill()


def api_process(settings: Mapping[str, str], log: Path) -> Api:
    """An API on a free port, not started yet; these are its only settings."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    environment = product.isolated({**as_server(settings), "PUBLIC_URL": origin})
    return Api(port, WarmProgram.of(product.api(environment, log, origin=origin, folder=log.parent)))


@contextmanager
def running_api(settings: Mapping[str, str], log: Path) -> Iterator[str]:
    """Run an API during the block; yields its URL."""
    api = api_process(settings, log)
    with api.program.serving():
        yield api.url


@contextmanager
def running_worker(settings: Mapping[str, str], log: Path) -> Iterator[Process]:
    """Run a worker during the block; these are its only settings."""
    worker = WarmProgram.of(product.worker(product.isolated(as_server(settings)), log, folder=log.parent))
    with worker.serving():
        yield worker.running


@asynccontextmanager
async def running_apis(*apis: Api) -> AsyncIterator[tuple[Api, ...]]:
    """Run these APIs during the block without blocking the event loop, on which the tests' own servers may run."""
    programs = [api.program for api in apis]
    try:
        for program in programs:
            program.launch()  # in the main thread: a program is killed when the thread that started it ends
        await asyncio.gather(*(asyncio.to_thread(program.wait_until_ready) for program in programs))
        yield apis
    finally:
        await asyncio.to_thread(require_orderly_end, *programs, grace=PATIENCE)


def migration(settings: Mapping[str, str], log: Path) -> Program:
    """`junis migrate`, not started yet; these are its only settings."""
    return WarmProgram.of(product.migration(product.isolated(settings), log, folder=log.parent))


def migrate(settings: Mapping[str, str], folder: Path) -> None:
    """Migrate the database to the newest schema, and give the server's role its rights."""
    run_to_end(migration({**settings, "SERVER_DATABASE_PASSWORD": _SERVER_PASSWORD}, folder / "migrate.log"))
    _OWNERS.add(_user_of(settings))


def as_server(settings: Mapping[str, str]) -> Mapping[str, str]:
    """The settings with the server's role instead of the owner's, if the role exists there."""
    owner = _user_of(settings)
    if owner not in _OWNERS:
        return settings
    return {**settings, "DATABASE_URL": settings["DATABASE_URL"].replace(owner, f"{ROLE}:{_SERVER_PASSWORD}", 1)}


def _user_of(settings: Mapping[str, str]) -> str:
    return urlsplit(settings.get("DATABASE_URL", "")).netloc.rpartition("@")[0]
