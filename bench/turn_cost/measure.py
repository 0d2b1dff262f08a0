"""Measures subjects under loads, in rounds: each round has every subject once under every load."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Self

import orjson

from bench.figures import cpu_seconds, peak_megabytes
from bench.postgres import Counters, counters, pid_of_postgres
from bench.processor import cpu_seconds_of_tree, forget_peak
from bench.turn_cost.load import Order, Outcome
from bench.turn_cost.loads import Load, conversation, order_of, sessions_wanted
from bench.turn_cost.stores import Stores
from bench.turn_cost.subjects import Subject

_WARM_UP_SECONDS = 0.4
_SETTLE_SECONDS = 0.5
_PREPARING_CONNECTIONS = 8
_PREPARING_SECONDS = 120.0


@dataclass(frozen=True)
class Measured:
    """One subject under one load in one round; what is used is that of one request.

    Attributes:
        subject, load: their names.
        requests, failures: how many responses were as they should be, and how many were not.
        model_calls, messages: calls of the model, and the messages that they had together.
        rate: requests a second.
        p50, p99, first_word_p50: milliseconds, as in `Outcome`.
        api_cpu, postgres_cpu, valkey_cpu: milliseconds of processor time.
        statements, transactions, wal: executed, committed, and bytes written to the log.
        memory: the most that the subject's process had, in MB.
    """

    subject: str
    load: str
    requests: int
    failures: int
    model_calls: float
    messages: float
    rate: float
    p50: float
    p99: float
    first_word_p50: float
    api_cpu: float
    postgres_cpu: float
    valkey_cpu: float
    statements: float
    transactions: float
    wal: float
    memory: float

    def is_good(self, load: Load) -> bool:
        """Whether every response was as it should be, and every request has led to the calls of the model it should."""
        was_answered = self.requests > 0 and not self.failures
        return was_answered and round(self.model_calls, 6) == load.model_calls and self.messages >= load.least_messages


@dataclass(frozen=True)
class _Reading:
    """What was used so far; seconds of processor time."""

    api: float
    postgres: float
    valkey: float
    counters: Counters
    model_calls: int
    messages: int


class LoadProcess:
    """The process that makes the load, one order after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.turn_cost.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def run(self, order: Order) -> Outcome:
        """Make this load.

        Raises:
            RuntimeError: the process has ended.
        """
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(orjson.dumps(asdict(order)) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The load generator has ended")
        return Outcome(**orjson.loads(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        with self._process:  # closes its pipes
            pass


def measure(
    stores: Stores, subjects: Sequence[Subject], loads: Sequence[Load], *, rounds: int, seconds: float
) -> Iterator[Measured]:
    """Measure each subject under each load, as often as there are rounds."""
    with LoadProcess() as process:
        for _ in range(rounds):
            for load in loads:
                for subject in subjects:
                    if subject.takes(load):
                        yield _measure_one(stores, subject, load, process.run, seconds)


def _measure_one(
    stores: Stores, subject: Subject, load: Load, run: Callable[[Order], Outcome], seconds: float
) -> Measured:
    key = subject.keys[load.key] if load.key else ""
    order = order_of(load, "127.0.0.1", subject.port, path=subject.path, key=key, seconds=seconds)
    if load.has_history:
        order = with_history(order, run)
    run(replace(order, seconds=_WARM_UP_SECONDS))
    forget_peak(subject.pid)
    before = _read(stores, subject)
    outcome = run(order)
    time.sleep(_SETTLE_SECONDS)  # what a subject still does after its last response is the requests', too
    after = _read(stores, subject)
    found = _measured(subject, load, outcome, before, after)
    if not found.is_good(load):
        print(f"{subject.name} under {load.name}: {found} {outcome.samples}", file=sys.stderr)
    return found


def with_history(order: Order, run: Callable[[Order], Outcome]) -> Order:
    """The order, each of whose requests continues one of many sessions that are made for it here."""
    (body,) = order.bodies
    making = replace(
        order,
        bodies=[{**body, "messages": conversation()}],
        connections=_PREPARING_CONNECTIONS,
        seconds=_PREPARING_SECONDS,
        requests=sessions_wanted(),
    )
    return replace(order, bodies=[{**body, "session_id": session} for session in run(making).sessions])


def _read(stores: Stores, subject: Subject) -> _Reading:
    return _Reading(
        cpu_seconds(subject.pid),
        cpu_seconds_of_tree(pid_of_postgres(stores.plant)),
        cpu_seconds(subject.valkey_pid) if subject.valkey_pid else 0.0,
        asyncio.run(counters(stores.plant)),
        *stores.model_calls(),
    )


def _measured(subject: Subject, load: Load, outcome: Outcome, before: _Reading, after: _Reading) -> Measured:
    count = max(1, outcome.requests)

    def milliseconds(name: str) -> float:
        used: float = getattr(after, name) - getattr(before, name)
        return 1000 * used / count

    def counted(name: str) -> float:
        return float((getattr(after.counters, name) - getattr(before.counters, name)) / count)

    return Measured(
        subject=subject.name,
        load=load.name,
        requests=outcome.requests,
        failures=outcome.failures,
        model_calls=(after.model_calls - before.model_calls) / count,
        messages=(after.messages - before.messages) / count,
        rate=outcome.requests / outcome.seconds,
        p50=outcome.p50,
        p99=outcome.p99,
        first_word_p50=outcome.first_word_p50,
        api_cpu=milliseconds("api"),
        postgres_cpu=milliseconds("postgres"),
        valkey_cpu=milliseconds("valkey"),
        statements=counted("statements"),
        transactions=counted("transactions"),
        wal=counted("wal"),
        memory=peak_megabytes(subject.pid),
    )
