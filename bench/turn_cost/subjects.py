"""The servers that are measured, each as a process on a core of its own."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.turn_cost.listening import start_listening
from bench.turn_cost.loads import CALLS, EXTRAS, GUARDS, PACED, RESPONSES, STREAMS, Load
from bench.turn_cost.organization import Keys
from bench.turn_cost.stores import Stores
from bench.turn_cost.twin import KEY
from devstack import product
from devstack.ports import free_port
from devstack.programs import Program

PRODUCT, TWIN, METERED_TWIN, GIVEN, FLOOR, PROXY, DIRECT = (
    "product", "twin", "twin-metered", "given-twin", "floor", "proxy", "direct",
)  # fmt: skip
ABOUT = {
    PRODUCT: "the product",
    TWIN: "twin",
    METERED_TWIN: "twin that meters",
    GIVEN: "the given twin",
    FLOOR: "floor",
    PROXY: "bare proxy",
    DIRECT: "the model server itself",
}
_PLAIN = (*CALLS, *STREAMS, *PACED)
_LOADS: Mapping[str, tuple[Load, ...]] = {
    PRODUCT: (*_PLAIN, *RESPONSES, *EXTRAS, *GUARDS),
    TWIN: (*_PLAIN, *EXTRAS),
    METERED_TWIN: (*_PLAIN, *EXTRAS),
}
_CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Subject:
    """A server under load.

    Attributes:
        name: what `--only` calls it.
        port: where it listens on this machine.
        path: that of its chats.
        pid: its process.
        valkey_pid: the Valkey that it uses; 0 if it uses none.
        keys: the API keys that loads name.
    """

    name: str
    port: int
    path: str
    pid: int
    valkey_pid: int
    keys: Mapping[str, str]

    def takes(self, load: Load) -> bool:
        """Whether it is measured under a load."""
        return load in _LOADS.get(self.name, _PLAIN)


@contextmanager
def running_subjects(
    stores: Stores, names: Iterable[str], keys: Keys, *, core: Iterable[int], given: Path | None
) -> Iterator[list[Subject]]:
    """Run these servers during the block, each pinned to the core."""
    with ExitStack() as stack:
        yield [_start(stack, stores, name, keys, core=core, given=given) for name in names]


def _start(
    stack: ExitStack, stores: Stores, name: str, keys: Keys, *, core: Iterable[int], given: Path | None
) -> Subject:
    if name == DIRECT:
        return Subject(name, stores.upstream_port, _CHAT, stores.upstream_pid, 0, {"unlimited": KEY})
    port = free_port()
    program = product_api(stores, port) if name == PRODUCT else _program(stores, name, port, given)
    stack.callback(program.stop)
    start_listening(program, port, core)
    if name == PRODUCT:
        return product_subject(stores, program, port, keys)
    return Subject(name, port, _CHAT, program.pid, _valkey_pid(stores, name), {"unlimited": KEY})


def product_subject(stores: Stores, program: Program, port: int, keys: Keys) -> Subject:
    """The product, whose API is this program."""
    known = {"unlimited": keys.unlimited, "refused": keys.refused}
    return Subject(PRODUCT, port, f"/api/external{_CHAT}", program.pid, stores.valkey_pid(), known)


def _valkey_pid(stores: Stores, name: str) -> int:
    if name == PROXY:
        return 0
    return stores.open_valkey_pid() if name == GIVEN else stores.valkey_pid()


def product_api(stores: Stores, port: int, **settings: str) -> Program:
    """The API as it is deployed, with its log at the level that it has by default, not started yet."""
    origin = f"http://127.0.0.1:{port}"
    settings = {**stores.plant.environment, "LOG_LEVEL": "INFO", "PUBLIC_URL": origin, **settings}
    log = stores.plant.folder / "product.log"
    return product.api(product.isolated(settings), log, origin=origin, folder=stores.plant.folder)


def _program(stores: Stores, name: str, port: int, given: Path | None) -> Program:
    database = stores.database_url(name)
    settings = {
        "DATABASE_URL": database,
        "PGURL": database,
        "REDIS_URL": stores.plant.environment["REDIS_URL"],
        "LLM_BASE_URL": f"http://127.0.0.1:{stores.upstream_port}/v1",
        "EVENTS": "1" if name in {METERED_TWIN, FLOOR} else "0",
    }
    if name == GIVEN:
        arguments: tuple[str, ...] = (str(given),)
    else:
        module = {PROXY: "bare_proxy", FLOOR: "floor"}.get(name, "twin")
        arguments = ("-m", f"bench.turn_cost.{module}")
    folder = stores.plant.folder
    return Program(name, (*arguments, str(port)), product.isolated(settings), folder / f"{name}.log", folder=folder)
