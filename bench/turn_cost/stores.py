"""What the subjects share: Postgres, Valkey and the chat model server, all on the cores that no subject runs on."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import orjson

from bench.generations import UNLIMITED
from bench.postgres import count_statements, make_database
from bench.turn_cost.listening import start_listening
from chaos.plant import Plant, running_plant
from chaos.strikes import VALKEY
from devstack import product
from devstack.ports import free_port
from devstack.programs import Program
from devstack.valkey import Valkey

# Where a twin that is given by its path looks for what it uses. Its Valkey has no password.
GIVEN_UPSTREAM_PORT = 9100
GIVEN_VALKEY_PORT = 56_379


class OpenValkey(Valkey):
    """A Valkey that asks for no password."""

    def _configuration(self, port: int) -> str:
        lines = super()._configuration(port).splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("requirepass"))


class Stores:
    """The servers behind the subjects. Every subject but the product has a database of its own."""

    def __init__(self, plant: Plant, upstream: Program, upstream_port: int, open_valkey: OpenValkey | None) -> None:
        self.plant = plant
        self.upstream_port = upstream_port
        self._upstream = upstream
        self._open_valkey = open_valkey

    @property
    def upstream_pid(self) -> int:
        """The chat model server's process."""
        return self._upstream.pid

    def model_calls(self) -> tuple[int, int]:
        """How many calls the chat model server has had, and how many messages they had together."""
        with urlopen(f"http://127.0.0.1:{self.upstream_port}/stat") as response:
            counts = orjson.loads(response.read())
        return counts["calls"], counts["messages"]

    def valkey_pid(self) -> int:
        """The process of the Valkey of all subjects but a twin that is given by its path."""
        return self.plant.servers[VALKEY].pid

    def open_valkey_pid(self) -> int:
        """The process of the Valkey without a password."""
        assert self._open_valkey is not None  # noqa: S101 - there is no given twin without it
        return self._open_valkey.pid

    def database_url(self, subject: str) -> str:
        """A new database for a subject that is not the product."""
        name = subject.replace("-", "_")
        asyncio.run(make_database(self.plant, name))
        return urlsplit(self.plant.environment["DATABASE_URL"])._replace(path=f"/{name}").geturl()


@contextmanager
def running_stores(folder: Path, *, with_given: bool) -> Iterator[Stores]:
    """Run them during the block, over a migrated database, with a Postgres that counts statements."""
    with running_plant(folder, settings=UNLIMITED) as plant:
        asyncio.run(count_statements(plant))
        port = GIVEN_UPSTREAM_PORT if with_given else free_port()
        plant.environment.update(LLM_BASE_URL=f"http://127.0.0.1:{port}/v1", LLM_API_KEY="of-the-upstream")
        upstream = _upstream(folder, port)
        open_valkey = _open_valkey(folder) if with_given else None
        try:
            start_listening(upstream, port)
            yield Stores(plant, upstream, port, open_valkey)
        finally:
            upstream.stop()
            if open_valkey is not None:
                open_valkey.stop()


def _upstream(folder: Path, port: int) -> Program:
    arguments = ("-m", "bench.turn_cost.upstream", str(port))
    return Program("upstream", arguments, product.isolated({}), folder / "upstream.log", folder=folder)


def _open_valkey(folder: Path) -> OpenValkey:
    server = OpenValkey(folder / "open-valkey", log=folder / "open-valkey.log", durable=False)
    server.port = GIVEN_VALKEY_PORT
    server.start()
    return server
