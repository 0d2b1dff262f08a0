"""Where the processor time of a turn goes: samples the API's process while ten clients keep it busy.

`python -m bench.turn_cost.profiling` prints the functions that take most of it, for calls and for streams.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.figures import cpu_seconds
from bench.processor import cores_for
from bench.turn_cost.document import DOCUMENT, write_tables
from bench.turn_cost.listening import start_listening
from bench.turn_cost.loads import ALL, Load, order_of
from bench.turn_cost.measure import LoadProcess, with_history
from bench.turn_cost.organization import Keys, prepare
from bench.turn_cost.stacks import Stack, by_group, cumulative, own, read_stacks
from bench.turn_cost.stores import Stores, running_stores
from bench.turn_cost.subjects import Subject, product_api, product_subject
from bench.turn_cost.tables import Table
from devstack.ports import free_port

_WARM_UP_SECONDS = 1.0
_POLL_SECONDS = 0.05
_LOADS = ("call-10", "stream-10", "history-10", "tool-10")
_MOST_ROWS = 40
_EVERYTHING = 0.9
# Whose a sample is: the innermost of its functions that any of these has decides.
_GROUPS = {
    "SQLAlchemy": ("(sqlalchemy/",),
    "asyncpg": ("(asyncpg/",),
    "redis-py": ("(redis/",),
    "aiohttp": ("(aiohttp/", "(yarl/", "(multidict/", "(aiosignal/"),
    "FastAPI, Starlette, pydantic": ("(fastapi/", "(starlette/", "(pydantic/"),
    "uvicorn": ("(uvicorn/protocols/",),
    "threads: work handed to them and back": ("(anyio/", "(sniffio/", "(concurrent/", "(threading.py)", "(queue.py)"),
    "logging": ("(logging/", "(app/core/logging.py)"),
    "`app/core`: middleware, bodies, JSON, transactions": ("(app/core/",),
    "`app/api_keys`, `app/rate_limits`, `app/idempotency`": (
        "(app/api_keys/",
        "(app/rate_limits/",
        "(app/idempotency/",
    ),
    "`app/chat`": ("(app/chat/",),
    "`app/agents`": ("(app/agents/",),
    "`app/chat_models`": ("(app/chat_models/",),
    "the rest of `app`": ("(app/",),
}
_REST = "the event loop, written in C, and its tasks"


@dataclass(frozen=True)
class Profile:
    """The stacks of a load's samples, and how many milliseconds of processor time a request took meanwhile."""

    stacks: list[Stack]
    milliseconds: float

    @property
    def samples(self) -> int:
        """All samples."""
        return sum(stack.samples for stack in self.stacks)


def profile(subject: Subject, load: Load, stacks: Path, *, seconds: float) -> Profile:
    """Sample a subject, which writes its stacks to this file, while it is under a load."""
    key = subject.keys[load.key]
    order = order_of(load, "127.0.0.1", subject.port, path=subject.path, key=key, seconds=seconds)
    stacks.unlink(missing_ok=True)
    with LoadProcess() as process:
        if load.has_history:
            order = with_history(order, process.run)
        process.run(replace(order, seconds=_WARM_UP_SECONDS))
        before = cpu_seconds(subject.pid)
        os.kill(subject.pid, signal.SIGUSR1)
        outcome = process.run(order)
        os.kill(subject.pid, signal.SIGUSR2)
        used = cpu_seconds(subject.pid) - before
    while not stacks.exists():
        time.sleep(_POLL_SECONDS)
    return Profile(read_stacks(stacks.read_text()), 1000 * used / outcome.requests)


@contextmanager
def sampled_product(stores: Stores, keys: Keys, stacks: Path, *, core: Iterable[int]) -> Iterator[Subject]:
    """Run the product with a sampler that writes its stacks to this file."""
    port = free_port()
    api = product_api(stores, port, STACKS=str(stacks))
    api.arguments = ("-m", "bench.turn_cost.sampled", *api.arguments[3:])
    try:
        start_listening(api, port, core)
        yield product_subject(stores, api, port, keys)
    finally:
        api.stop()


def tables_of(profiles: Mapping[str, Profile]) -> list[Table]:
    """What the profiles of loads say, for the document: by package, and by function of the product."""
    groups = {load: by_group(found.stacks, _GROUPS, _REST) for load, found in profiles.items()}
    heads = [f"{load}, ms" for load in profiles]
    rows = [
        [group, *(f"{_milliseconds(profiles[load], counts[group]):.2f}" for load, counts in groups.items())]
        for group in [*_GROUPS, _REST]
    ]
    rows.append(["all", *(f"**{found.milliseconds:.2f}**" for found in profiles.values())])
    found = [_of_functions(load, profile) for load, profile in profiles.items()]
    return [Table("time-by-package", ["what runs", *heads], rows), *found]


def _of_functions(load: str, found: Profile) -> Table:
    """The functions of the product by the time that they are on the stack, without those that everything is in."""
    ours = _of_the_product(cumulative(found.stacks))
    rows = [
        [f"`{function}`", f"{_milliseconds(found, samples):.2f}", f"{samples / found.samples:.0%}"]
        for function, samples in ours.most_common()
        if samples < _EVERYTHING * found.samples
    ]
    return Table(f"time-of-{load}", ["function, with all that it calls", "ms", "share"], rows[:_MOST_ROWS])


def _of_the_product(counts: "Counter[str]") -> "Counter[str]":
    return Counter({function: samples for function, samples in counts.items() if "(app/" in function})


def _milliseconds(found: Profile, samples: int) -> float:
    return found.milliseconds * samples / found.samples


def _print(load: str, found: Profile, rows: int) -> None:
    print(f"\n# {load}: {found.milliseconds:.2f} ms of processor time a request, {found.samples} samples")
    everywhere = cumulative(found.stacks)
    lists = {"own time": own(found.stacks), "cumulative": everywhere, "of app/": _of_the_product(everywhere)}
    for title, counts in lists.items():
        print(f"\n## {load}: {title}, ms a request and share")
        for function, samples in counts.most_common(rows):
            print(f"{_milliseconds(found, samples):7.3f} {samples / found.samples:6.1%}  {function}")


def main() -> int:
    """Profile the product.

    Returns:
        0.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.turn_cost.profiling", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="how long each load is sampled (10)")
    parser.add_argument("--rows", type=int, default=60, help="functions in each list (60)")
    parser.add_argument("--only", default=",".join(_LOADS), help=f"loads ({','.join(_LOADS)})")
    parser.add_argument("--write", action="store_true", help=f"put tables into {DOCUMENT.name}")
    arguments = parser.parse_args()
    core, others = cores_for()
    os.sched_setaffinity(0, others)
    profiles = {}
    with tempfile.TemporaryDirectory() as name, running_stores(Path(name), with_given=False) as stores:
        keys, stacks = asyncio.run(prepare(stores.plant.settings)), Path(name) / "stacks"
        with sampled_product(stores, keys, stacks, core=core) as subject:
            for load in (load for load in ALL if load.name in arguments.only.split(",")):
                profiles[load.name] = profile(subject, load, stacks, seconds=arguments.seconds)
                _print(load.name, profiles[load.name], arguments.rows)
    if arguments.write:
        write_tables(DOCUMENT, tables_of(profiles))
    return 0


if __name__ == "__main__":
    sys.exit(main())
