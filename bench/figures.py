"""Figures that the benches measure, their requirements, and how they are printed."""

import sys
import time
from collections.abc import AsyncIterable
from dataclasses import dataclass
from pathlib import Path

_KILOBYTES_PER_MEGABYTE = 1000


@dataclass(frozen=True)
class Figure:
    """One measured figure, and the bounds that it must keep, if any."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether it is within its bounds."""
        is_enough = self.at_least is None or self.value >= self.at_least
        return is_enough and (self.at_most is None or self.value <= self.at_most)


async def report(figures: AsyncIterable[Figure]) -> int:
    """Print each figure as it comes, and write those that miss their requirements to standard error.

    Returns:
        The exit code of the program: 1 if one is missed.
    """
    missed = 0
    async for figure in figures:
        print(f"{figure.name}: {figure.value:.1f} {figure.unit}", flush=True)
        if not figure.is_met:
            missed += 1
            bound = f"at least {figure.at_least}" if figure.at_most is None else f"at most {figure.at_most}"
            print(f"{figure.name}: missed, {bound} {figure.unit} required", file=sys.stderr)
    return min(1, missed)


def peak_megabytes(pid: int) -> float:
    """The most memory (resident set) that a process has had so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / _KILOBYTES_PER_MEGABYTE


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used so far; unlike a clock, it does not depend on other programs.

    Raises:
        ProcessLookupError: there is no such process any more.
    """
    try:
        # Linux's clock of a process, as by clock_getcpuclockid(3). /proc counts only hundredths of a second.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        raise ProcessLookupError(f"Process {pid} has ended") from None
