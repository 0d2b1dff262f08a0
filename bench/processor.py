"""What processes have used, and on which cores they run."""

import os
from collections.abc import Iterable
from pathlib import Path

from bench.figures import cpu_seconds

_PROC = Path("/proc")
_FIRST_OF_CHILDREN = 13  # of the fields after the name: cutime, then cstime


def cpu_seconds_of_tree(pid: int) -> float:
    """Processor seconds of a process and its children: of those that run, and of those that it has waited for."""
    running = sum(_cpu_if_it_runs(child) for child in children_of(pid))
    return cpu_seconds(pid) + running + _cpu_of_ended_children(pid)


def children_of(pid: int) -> list[int]:
    """The processes that this one has started and that still run."""
    return [int(path.name) for path in _PROC.glob("[0-9]*") if _parent(path) == pid]


def pin(pid: int, cores: Iterable[int]) -> None:
    """Let every thread of a process run on these cores only; threads and processes that it starts later do so, too."""
    for task in (_PROC / str(pid) / "task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def cores_for() -> tuple[set[int], set[int]]:
    """The core of what is measured, and those of everything else; the same one if there is only one."""
    *others, last = sorted(os.sched_getaffinity(0))
    return {last}, set(others) or {last}


def forget_peak(pid: int) -> None:
    """Let the most memory that a process has had be what it has now."""
    (_PROC / str(pid) / "clear_refs").write_text("5")


def _cpu_of_ended_children(pid: int) -> float:
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[_FIRST_OF_CHILDREN : _FIRST_OF_CHILDREN + 2]) / os.sysconf("SC_CLK_TCK")


def _cpu_if_it_runs(pid: int) -> float:
    try:
        return cpu_seconds(pid)
    except ProcessLookupError:  # it has ended since it was listed, and the next reading counts it with its parent
        return 0.0


def _parent(path: Path) -> int | None:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
        return None
