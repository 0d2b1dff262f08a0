"""The order in which the quickstart starts things: as many as possible at the same time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack import product, schema
from devstack.chat_model import ChatModel
from devstack.config import Config
from devstack.credentials import Credentials, knows_console, parse_credentials, read_credentials
from devstack.errors import StartupError
from devstack.private_files import read_or_create_secret
from devstack.programs import Program, run_to_end
from devstack.servers import EmbeddedServers
from devstack.supervisor import Supervisor
from devstack.vendors import Vendors


@dataclass(frozen=True)
class Started:
    """What a start has led to.

    Attributes:
        credentials: How to sign in.
        chat_model: What was found out about the chat model; None if it is simulated, or that could not be found out.
        settings: What the programs were told, whatever the operator's settings are.
    """

    credentials: Credentials
    chat_model: ChatModel | None
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Startup:
    """One start of everything, step by step.

    Attributes:
        config: The operator's choices.
        vendors: Which vendor is real.
        simulator: The host and port of the simulator.
        servers: Postgres and Valkey, not started yet.
        supervisor: Keeps what is started here running.
        pause: Called with seconds while waiting; may raise in order to give up.
        say: Called with a line of text for each thing that is ready.
    """

    config: Config
    vendors: Vendors
    simulator: str
    servers: EmbeddedServers
    supervisor: Supervisor
    pause: Callable[[float], None]
    say: Callable[[str], None]

    def run(self) -> Started:
        """Start everything and wait until the API answers.

        Raises:
            StartupError: A program ended or did not become ready.
        """
        simulator = self._simulator() if self.vendors.needs_simulator else None
        if simulator is not None:
            self.supervisor.start(simulator)
        self._start_servers()
        settings = self._settings()
        env = {**self.config.environ, **settings}
        self._migrate(env)
        credentials = self._credentials(env)
        chat_model = self._chat_model(env) if self.vendors.is_chat_real else None
        if chat_model is not None:
            settings["LLM_MODEL"] = env["LLM_MODEL"] = chat_model.model
        if simulator is not None:
            simulator.wait_until_ready(self.pause)
            self.say("Simulator ready")
        self._start_api_and_worker(env)
        return Started(credentials, chat_model, settings)

    def _start_servers(self) -> None:
        self.servers.start()
        for server in (self.servers.postgres, self.servers.valkey):
            self.supervisor.watch(server)
        self.say("Postgres and Valkey ready")

    def _migrate(self, env: Mapping[str, str]) -> None:
        # Next to the database, so that the two are moved or removed together.
        stamp = self.config.data_dir / "postgres" / "schema"
        if not schema.is_current(stamp):
            run_to_end(product.migration(env, self._log("migrate")), self.pause)
            schema.note_current(stamp)
        self.say("Database schema is up to date")

    def _start_api_and_worker(self, env: Mapping[str, str]) -> None:
        api = product.api(env, self._log("api"), origin=self.config.origin, host=self.config.host)
        worker = product.worker(env, self._log("worker"))
        self.supervisor.start(api)
        self.supervisor.start(worker)
        api.wait_until_ready(self.pause)
        if not worker.is_alive:
            raise StartupError(worker.name, f"ended with status {worker.running.returncode}", worker.log)
        self.say("API and worker ready")

    def _credentials(self, env: Mapping[str, str]) -> Credentials:
        path = self.config.data_dir / "quickstart.json"
        kept = read_credentials(path)
        if kept is not None and not self.servers.postgres.is_new:
            if not knows_console(path):
                self._make_operator(kept.admin_email, env)
            return kept
        demo = Program("demo", ("-m", "app.cli", "demo"), env, self._log("demo"))
        made = parse_credentials(run_to_end(demo, self.pause))
        if made is None:
            raise StartupError(demo.name, "printed no credentials", demo.log)
        self.say("Demo organization, agents and API key created")
        return made

    def _make_operator(self, email: str, env: Mapping[str, str]) -> None:
        """Let the demo's owner see what only operators do. New demos have that from the start."""
        command = ("-m", "app.cli", "admin", "operator", email, "on")
        try:
            run_to_end(Program("operator", command, env, self._log("operator")), self.pause)
        except StartupError as error:
            # The server can do everything, and the log says why.
            self.say(str(error))

    def _chat_model(self, env: Mapping[str, str]) -> ChatModel | None:
        self.say(f"Trying the chat model at {self.vendors.chat_url}")
        trial = Program("demo-model", ("-m", "app.cli", "demo-model"), env, self._log("demo-model"))
        try:
            return ChatModel.from_json(run_to_end(trial, self.pause))
        except StartupError as error:
            # The server can do everything but chat, and the log says why.
            self.say(str(error))
            return None

    def _simulator(self) -> Program:
        return product.simulator(self.config.environ, self._log("simulator"), origin=f"http://{self.simulator}")

    def _log(self, name: str) -> Path:
        return self.config.data_dir / "logs" / f"{name}.log"

    def _settings(self) -> dict[str, str]:
        data_dir = self.config.data_dir
        chat = {"LLM_BASE_URL": self.config.environ["LLM_BASE_URL"]} if self.vendors.is_chat_real else {}
        return {
            **chat,
            **self.vendors.environ,
            "DATABASE_URL": self.servers.postgres.owner_url,
            "REDIS_URL": self.servers.redis_url,
            "PUBLIC_URL": self.config.origin,
            "STORAGE": "local",
            "LOCAL_STORAGE_DIR": str(data_dir / "objects"),
            "SECRET_KEY": read_or_create_secret(data_dir / "secret_key"),
        }
