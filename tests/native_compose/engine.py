"""The services and their containers, each a process; `python -m tests.native_compose.engine FOLDER` runs it.

One thread does everything, because processes end with the thread that has started them. It writes `engine.json` into
the folder, with the port at which `client.py` asks and the address of the proxy.
"""

import itertools
import json
import signal
import socketserver
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from devstack import product
from devstack.errors import StackError
from devstack.ports import free_port
from devstack.probe import answers_ok
from devstack.programs import Program, run_to_end
from tests.native_compose import commands
from tests.native_compose.interpolation import environments
from tests.native_compose.outcome import Outcome, run
from tests.native_compose.stores import ObjectsService, PostgresService, Store, ValkeyService
from tests.proxy.caddy import Proxy, running_proxy
from tests.vendors_simulator import VendorsSimulator, vendors_simulator

GRACE = 60.0


@dataclass
class Container:
    """An API or a worker. Its environment is that of its start."""

    id: str
    service: str
    environment: Mapping[str, str]
    program: Program
    address: str = ""
    removed: bool = False

    @property
    def state(self) -> str:
        """The state that `docker inspect` shows, with the number of restarts."""
        if not self.program.is_alive:
            return "exited 0"
        if self.program.ready_url is None:
            return "running 0"
        return "healthy 0" if answers_ok(self.program.ready_url) else "starting 0"


@dataclass
class Engine:
    """All services of one folder."""

    folder: Path
    data: Path
    proxy: Proxy
    port: int
    vendors: VendorsSimulator
    containers: list[Container] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=lambda: {"junis-server:latest": "sha256:of-this-checkout"})
    started: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stores: dict[str, Store] = {
            "postgres": PostgresService(self.data),
            "redis": ValkeyService(self.data),
            "objects": ObjectsService(self.data),
        }
        self._numbers = itertools.count(1)

    def environment(self, service: str) -> dict[str, str]:
        """What Compose gives to the service now, with the addresses of this machine for the names of services."""
        given = dict(environments(self.folder)[service])
        names = {"simulator:9000": self.vendors.url.removeprefix("http://")}
        ports = {"postgres": 5432, "redis": 6379, "objects": 8333}
        names |= {f"{name}:{port}": self.stores[name].address for name, port in ports.items() if name in self.started}
        for key, value in given.items():
            for name, address in names.items():
                given[key] = given[key].replace(name, address) if name in value else given[key]
        return given

    def start_store(self, name: str) -> None:
        """Start a store, anew if its environment has changed."""
        wanted = environments(self.folder)[name]
        if self.started.get(name) == wanted:
            return
        if name in self.started:
            self.stores[name].stop()
        self.stores[name].start(wanted)
        self.started[name] = wanted

    def migrate(self) -> Outcome:
        """Run the service `migrate` to its end."""
        log = self.data / "migrate.log"
        log.unlink(missing_ok=True)
        try:
            run_to_end(product.migration(product.isolated(self.environment("migrate")), log, folder=self.data))
        except StackError:
            return Outcome(stderr=log.read_text(), status=1)
        return Outcome(stderr=log.read_text())

    def launch(self, service: str) -> Container:
        """Start one more container of a service, without waiting until it is ready."""
        number = next(self._numbers)
        name, environment = f"{service}-{number}", self.environment(service)
        log, isolated = self.data / f"{name}.log", product.isolated(environment)
        address = f"127.0.1.{number}" if service == "api" else ""
        if service == "api":
            program = product.api(isolated, log, origin=f"http://{address}:{self.port}", folder=self.data)
            self.proxy.addresses.append(address)
        else:
            program = product.worker(isolated, log, folder=self.data)
        container = Container(f"{number:012x}", service, environment, program, address)
        self.containers.append(container)
        program.launch()
        return container

    def remove(self, container: Container) -> None:
        """Stop a container in order. Its address belongs to the service until it has ended."""
        container.program.stop(grace=GRACE)
        container.removed = True
        if container.address:
            self.proxy.addresses.remove(container.address)

    def of(self, service: str, *, is_alive: bool = False) -> list[Container]:
        """The containers of a service."""
        found = [each for each in self.containers if each.service == service and not each.removed]
        return [each for each in found if each.program.is_alive] if is_alive else found

    def by_id(self, id_: str) -> Container | None:
        """The container with this id."""
        return next((each for each in self.containers if each.id == id_ and not each.removed), None)

    def execute(self, service: str, arguments: list[str], stdin: str) -> Outcome:
        """Run a program in a container of the service."""
        if service in self.stores:
            return self.stores[service].command(arguments, stdin)
        found = self.of(service, is_alive=True)
        if not found or arguments[0] != "junis":
            return Outcome(stderr=f"{arguments} cannot be run in {service} here\n", status=1)
        return self.junis(arguments[1:], found[0].environment, stdin)

    def junis(self, arguments: list[str], environment: Mapping[str, str], stdin: str = "") -> Outcome:
        """Run a command of the operator's with the environment of a container."""
        isolated = product.isolated({**environment, "PYTHONPATH": str(product.ROOT)})
        return run([sys.executable, "-m", "app.cli", *arguments], isolated, stdin)

    def stop(self) -> None:
        """Stop everything."""
        for container in self.containers:
            container.program.stop(grace=GRACE)
        for name in self.started:
            self.stores[name].stop()


class _Asked(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        engine: Engine = self.server.engine  # type: ignore[attr-defined]  # the server has it, see below
        try:
            outcome = commands.carry_out(engine, asked["arguments"], asked["stdin"])
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            outcome = Outcome(stderr=f"{type(error).__name__}: {error}\n", status=1)
        self.wfile.write(json.dumps(outcome.__dict__).encode())


def _opened(folder: Path, stack: ExitStack) -> Iterator[Engine]:
    data = folder / "native"
    data.mkdir()
    port = free_port()
    proxy = stack.enter_context(running_proxy(data / "proxy", port))
    vendors = stack.enter_context(vendors_simulator("--seed", "1"))
    engine = Engine(folder, data, proxy, port, vendors)
    stack.callback(engine.stop)
    yield engine


def main(folder: Path) -> None:
    """Answer until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as stack:
        (engine,) = _opened(folder, stack)
        server = stack.enter_context(socketserver.TCPServer(("127.0.0.1", 0), _Asked))
        server.engine = engine  # type: ignore[attr-defined]  # for the handler
        about = {"port": server.server_address[1], "proxy": engine.proxy.url, "vendors": engine.vendors.url}
        (folder / "engine.json.new").write_text(json.dumps(about))
        (folder / "engine.json.new").rename(folder / "engine.json")
        server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
