"""The order in which the quickstart starts things, as much as possible at the same time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from devstack import process, schema
from devstack.config import Config
from devstack.credentials import Credentials, parse_credentials, read_credentials
from devstack.errors import StartupError
from devstack.private_files import read_or_create_secret
from devstack.programs import Program, run_to_end, wait_until_ready
from devstack.servers import EmbeddedServers
from devstack.supervisor import Supervisor
from devstack.vendors import Vendors


@dataclass(frozen=True)
class Startup:
    """One start of everything, step by step.

    Attributes:
        config: The operator's choices.
        vendors: Which vendor is real.
        simulator: The simulator's host and port.
        servers: Postgres and Valkey, not started yet.
        supervisor: Keeps what is started here running.
        pause: Called with seconds while waiting; may raise in order to give up.
        say: Told, in a line of text, what is ready.
    """

    config: Config
    vendors: Vendors
    simulator: str
    servers: EmbeddedServers
    supervisor: Supervisor
    pause: Callable[[float], None]
    say: Callable[[str], None]

    def run(self) -> Credentials:
        """Start everything and wait until the API answers.

        Returns:
            How to sign in.

        Raises:
            StartupError: A program ended or did not become ready.
        """
        simulator = self._simulator()
        simulating = self._start(simulator) if self.vendors.needs_simulator else None
        self._start_servers()
        env = self._environment()
        self._migrate(env)
        credentials = self._credentials(env)
        if simulating is not None:
            wait_until_ready(simulator, simulating, f"http://{self.simulator}/_sim/health", self.pause)
            self.say("Simulator ready")
        self._start_api_and_worker(env)
        return credentials

    def _start_servers(self) -> None:
        self.servers.start()
        for server in (self.servers.postgres, self.servers.valkey):
            self.supervisor.watch(server.name, server.launch, server.running)
        self.say("Postgres and Valkey ready")

    def _migrate(self, env: Mapping[str, str]) -> None:
        # Beside the database, so that it goes where the database goes.
        stamp = self.config.data_dir / "postgres" / "schema"
        if not schema.is_current(stamp):
            run_to_end(self._program("migrate", env, "app.cli", "migrate"), self.pause)
            schema.note_current(stamp)
        self.say("Database schema is up to date")

    def _start_api_and_worker(self, env: Mapping[str, str]) -> None:
        listen = ("--host", self.config.host, "--port", str(self.config.port))
        api = self._program("api", env, "app.cli", "serve", *listen)
        worker = self._program("worker", env, "app.cli", "worker")
        serving, working = self._start(api), self._start(worker)
        wait_until_ready(api, serving, f"{self.config.origin}/readyz", self.pause)
        if working.poll() is not None:
            raise StartupError(worker.name, f"ended with status {working.returncode}", worker.log)
        self.say("API and worker ready")

    def _credentials(self, env: Mapping[str, str]) -> Credentials:
        kept = read_credentials(self.config.data_dir / "quickstart.json")
        if kept is not None and not self.servers.postgres.is_new:
            return kept
        demo = self._program("demo", env, "app.cli", "demo")
        made = parse_credentials(run_to_end(demo, self.pause))
        if made is None:
            raise StartupError(demo.name, "printed no credentials", demo.log)
        self.say("Demo organization, agents and API key made")
        return made

    def _simulator(self) -> Program:
        host, port = self.simulator.split(":")
        listen = ("--host", host, "--port", port, "--public-url", f"http://{self.simulator}")
        return self._program("simulator", self.config.environ, "simulator", *listen)

    def _start(self, program: Program) -> process.Process:
        return self.supervisor.start(program.name, program.launch)

    def _program(self, name: str, env: Mapping[str, str], *arguments: str) -> Program:
        return Program(name, arguments, env, self.config.data_dir / "logs" / f"{name}.log")

    def _environment(self) -> dict[str, str]:
        data_dir = self.config.data_dir
        return {
            **self.config.environ,
            **self.vendors.environ,
            "DATABASE_URL": self.servers.database_url,
            "REDIS_URL": self.servers.redis_url,
            "PUBLIC_URL": self.config.origin,
            "STORAGE": "local",
            "LOCAL_STORAGE_DIR": str(data_dir / "objects"),
            "SECRET_KEY": read_or_create_secret(data_dir / "secret_key"),
        }
