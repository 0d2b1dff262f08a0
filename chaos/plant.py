"""The whole product as real processes on this machine, each of which can be killed and started again."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from signal import SIGTERM
from time import sleep

import app.models  # noqa: F401 - the tables of every feature, for the foreign keys between them
from app.core.settings import Settings
from devstack import process
from devstack.ports import free_port
from devstack.process import Process
from devstack.programs import Program, run_to_end, wait_until_ready
from devstack.server import EmbeddedServer
from devstack.servers import EmbeddedServers

POSTGRES, VALKEY = "postgres", "valkey"

_ROOT = Path(__file__).parents[1]
_GRACE_SECONDS = 10.0
# What programs need of our own environment: the settings of whoever starts this must not reach them.
_INHERITED = ("PATH", "HOME", "LANG", "TZ")


class Plant:
    """Postgres, Valkey, the vendors' simulator, API processes and workers, each by its name."""

    def __init__(self, folder: Path, servers: EmbeddedServers, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.simulator_url = f"http://127.0.0.1:{free_port()}"
        self.api_urls: dict[str, str] = {}
        self.environment = {**_environment(folder, servers, self.simulator_url), **settings}
        self._servers: dict[str, EmbeddedServer] = {POSTGRES: servers.postgres, VALKEY: servers.valkey}
        self._programs: dict[str, Program] = {}
        self._running: dict[str, Process] = {}

    @property
    def settings(self) -> Settings:
        """What the processes run with."""
        return Settings.model_validate({name.lower(): value for name, value in self.environment.items()})

    @property
    def objects(self) -> Path:
        """The folder of the object store."""
        return Path(self.environment["LOCAL_STORAGE_DIR"])

    def migrate(self) -> None:
        """Make the tables."""
        run_to_end(self._program("migrate", "app.cli", "migrate"), sleep)

    def add_simulator(self, *options: str) -> None:
        """Start the vendors."""
        listen = ("--port", self.simulator_url.rpartition(":")[2])
        self._add(self._program("simulator", "simulator", *listen, *options))
        self._wait("simulator", f"{self.simulator_url}/_sim/health")

    def add_api(self, name: str) -> None:
        """Start an API process on a port of its own."""
        port = free_port()
        self.api_urls[name] = f"http://127.0.0.1:{port}"
        self.environment.setdefault("PUBLIC_URL", self.api_urls[name])
        self._add(self._program(name, "app.cli", "serve", "--host", "127.0.0.1", "--port", str(port)))
        self._wait(name, f"{self.api_urls[name]}/readyz")

    def add_worker(self, name: str) -> None:
        """Start a worker."""
        self._add(self._program(name, "worker"))

    def pid(self, name: str) -> int:
        """The process id of a program."""
        return self._running[name].pid

    def is_alive(self, name: str) -> bool:
        """Whether a program still runs."""
        return self._running[name].poll() is None

    def kill(self, name: str) -> None:
        """End a program or a server as a crash would."""
        if name in self._servers:
            self._servers[name].kill()
        else:
            process.kill(self._running[name])

    def start(self, name: str) -> None:
        """Start again what was killed, where it was. A server answers when this returns; a program will."""
        if name in self._servers:
            self._servers[name].start()
        else:
            self._running[name] = self._programs[name].launch()

    def stop(self) -> None:
        """End all programs in good order."""
        process.stop([(running, SIGTERM) for running in self._running.values()], grace=_GRACE_SECONDS)

    def _program(self, name: str, *arguments: str) -> Program:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        env = {**inherited, **self.environment, "PYTHONPATH": str(_ROOT)}
        return Program(name, arguments, env, self.folder / f"{name}.log")

    def _add(self, program: Program) -> None:
        self._programs[program.name] = program
        self._running[program.name] = program.launch()

    def _wait(self, name: str, url: str) -> None:
        wait_until_ready(self._programs[name], self._running[name], url, sleep)


@contextmanager
def running_plant(folder: Path, *, simulator: Sequence[str] = (), settings: Mapping[str, str]) -> Iterator[Plant]:
    """Runs the servers and the simulator over a migrated database for as long as the block takes.

    Args:
        folder: Where data, logs and objects go; made where it is missing.
        simulator: Options of `python -m simulator`.
        settings: The product's, beside those that follow from where things run.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # In a folder without `.env`, so that nobody's own settings are read.
    with chdir(folder), EmbeddedServers(folder / "servers", durable=False) as servers:
        plant = Plant(folder, servers, settings)
        try:
            plant.migrate()
            plant.add_simulator(*simulator)
            yield plant
        finally:
            plant.stop()


def _environment(folder: Path, servers: EmbeddedServers, simulator_url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "STORAGE": "local",
        "LOCAL_STORAGE_DIR": str(folder / "objects"),
        "SECRET_KEY": "of-this-run",
        "LLM_BASE_URL": f"{simulator_url}/openai/v1",
        "LLM_API_KEY": "simulated",
        "LLM_MODEL": "sim-chat",
        "REPLICATE_API_TOKEN": "simulated",
        "REPLICATE_BASE_URL": f"{simulator_url}/replicate",
        "OUTPUT_HOSTS": simulator_url.removeprefix("http://"),
        "LOG_LEVEL": "WARNING",
    }
