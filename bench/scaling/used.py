"""What the parts of the product, and what drives them, have used of the processor."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic

from bench.figures import cpu_seconds
from bench.postgres import pid_of_postgres
from bench.processor import cpu_seconds_of_tree
from chaos.plant import Plant
from chaos.strikes import VALKEY

Reading = Callable[[], float]


@dataclass(frozen=True)
class Used:
    """What was used in a time.

    Attributes:
        seconds: how long it took.
        cpu: by part, seconds of processor time.
    """

    seconds: float
    cpu: Mapping[str, float]

    def of_each(self, part: str, count: int) -> float:
        """Milliseconds of processor time of one of so many."""
        return 1000 * self.cpu[part] / max(1, count)

    @property
    def busy(self) -> float:
        """The share of all cores that all parts used together."""
        return sum(self.cpu.values()) / (self.seconds * len(os.sched_getaffinity(0)))


class Watch:
    """Reads what parts use, from when it is made until it is asked."""

    def __init__(self, parts: Mapping[str, Reading]) -> None:
        self._parts = parts
        self._began = monotonic()
        self._before = self._read()

    def used(self) -> Used:
        """What was used since."""
        after = self._read()
        cpu = {part: seconds - self._before[part] for part, seconds in after.items()}
        return Used(monotonic() - self._began, cpu)

    def _read(self) -> dict[str, float]:
        return {part: read() for part, read in self._parts.items()}


def of_processes(pids: Iterable[int]) -> Reading:
    """What some processes use together."""
    fixed = list(pids)
    return lambda: sum(cpu_seconds(pid) for pid in fixed)


def of_stores(plant: Plant) -> dict[str, Reading]:
    """What Postgres and Valkey use."""
    postgres = pid_of_postgres(plant)
    return {
        "postgres": lambda: cpu_seconds_of_tree(postgres),
        "valkey": of_processes([plant.servers[VALKEY].pid]),
    }
