"""The whole product as real processes on this machine, each of which can be killed and started again."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

import app.models  # noqa: F401 - the tables of every feature, for the foreign keys between them
from app.core.settings import Settings
from chaos.strikes import POSTGRES, VALKEY
from devstack import product
from devstack.managed import ManagedProcess, stop_all
from devstack.ports import free_port
from devstack.programs import Program, run_to_end
from devstack.server import EmbeddedServer
from devstack.servers import EmbeddedServers
from devstack.vendors import choose_vendors

_GRACE_SECONDS = 10.0
_COMMAND_SECONDS = 120.0


class Plant:
    """Postgres, Valkey, the vendors' simulator, API processes and workers, each by its name."""

    def __init__(self, folder: Path, servers: EmbeddedServers, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.simulator_url = _free_origin()
        self.api_urls: dict[str, str] = {}
        self.environment = {**_environment(folder, servers, self.simulator_url), **settings}
        self._servers: Mapping[str, EmbeddedServer] = {POSTGRES: servers.postgres, VALKEY: servers.valkey}
        self._programs: dict[str, Program] = {}

    @property
    def settings(self) -> Settings:
        """The settings of all processes."""
        return Settings.model_validate({name.lower(): value for name, value in self.environment.items()})

    @property
    def servers(self) -> Mapping[str, EmbeddedServer]:
        """Postgres and Valkey."""
        return self._servers

    @property
    def programs(self) -> Mapping[str, Program]:
        """The simulator, the API processes and the workers."""
        return self._programs

    @property
    def objects(self) -> Path:
        """The folder of the object store."""
        return Path(self.environment["LOCAL_STORAGE_DIR"])

    def migrate(self) -> None:
        """Create the tables."""
        run_to_end(product.migration(self._isolated(), self._log("migrate"), folder=self.folder))

    def add_simulator(self, *options: str) -> None:
        """Start the vendors' simulator."""
        log = self._log("simulator")
        simulator = product.simulator(self._isolated(), log, *options, origin=self.simulator_url, folder=self.folder)
        self._add("simulator", simulator)

    def add_api(self, name: str) -> None:
        """Start an API process on a port of its own."""
        origin = self.api_urls[name] = _free_origin()
        self.environment.setdefault("PUBLIC_URL", origin)
        self._add(name, product.api(self._isolated(), self._log(name), origin=origin, folder=self.folder))

    def add_worker(self, name: str) -> None:
        """Start a worker."""
        self._add(name, product.worker(self._isolated(), self._log(name), folder=self.folder))

    def pid(self, name: str) -> int:
        """The process id of a program."""
        return self._programs[name].pid

    def is_alive(self, name: str) -> bool:
        """Whether a program still runs."""
        return self._programs[name].is_alive

    def kill(self, name: str) -> None:
        """End a program or a server as a crash would."""
        victims: Mapping[str, ManagedProcess] = {**self._servers, **self._programs}
        victims[name].kill()

    def start(self, name: str) -> None:
        """Start again what was killed, on its old port. A server is ready when this returns; a program may not be."""
        if name in self._servers:
            self._servers[name].start()
        else:
            self._programs[name].launch()

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command of `junis` to its end, as an operator would; returns its exit status and its output."""
        program = Program(
            "junis", ("-m", "app.cli", *arguments), self._isolated(), self._log("junis"), folder=self.folder
        )
        with tempfile.TemporaryFile() as output:
            try:
                status = program.launch(stdout=output).wait(_COMMAND_SECONDS)
            finally:
                program.kill()
            output.seek(0)
            return status, output.read().decode()

    def stop(self) -> None:
        """Stop all programs in an orderly way."""
        stop_all(*self._programs.values(), grace=_GRACE_SECONDS)

    def _add(self, name: str, program: Program) -> None:
        self._programs[name] = program
        program.start()

    def _isolated(self) -> dict[str, str]:
        return product.isolated(self.environment)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@contextmanager
def running_plant(
    folder: Path, *, simulator: Sequence[str] = (), settings: Mapping[str, str], kind: type[Plant] = Plant
) -> Iterator[Plant]:
    """Run the servers and the simulator over a migrated database for as long as the block takes.

    Args:
        folder: Where data, logs and objects go; created if it is missing.
        simulator: Options of `python -m simulator`.
        settings: Further settings of the product, in addition to those that say where everything is.
        kind: What the plant is.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # In a folder without `.env`, so that this process does not read a developer's own settings either.
    with chdir(folder), EmbeddedServers(folder / "servers", durable=False) as servers:
        plant = kind(folder, servers, settings)
        try:
            plant.migrate()
            plant.add_simulator(*simulator)
            yield plant
        finally:
            plant.stop()


def _free_origin() -> str:
    return f"http://127.0.0.1:{free_port()}"


def _environment(folder: Path, servers: EmbeddedServers, simulator_url: str) -> dict[str, str]:
    return {
        **choose_vendors({}, simulator_url.removeprefix("http://")).environ,
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "STORAGE": "local",
        "LOCAL_STORAGE_DIR": str(folder / "objects"),
        "SECRET_KEY": "of-this-run",
        "LOG_LEVEL": "WARNING",
    }
