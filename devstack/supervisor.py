"""Keeping programs alive: what dies is started again, with growing pauses."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from devstack import process
from devstack.interrupts import Interrupts

FIRST_DELAY = 0.2  # seconds
LONGEST_DELAY = 10.0
LONG_LIFE = 30.0  # after which a death counts as the first again

Launch = Callable[[], process.Process]
Report = Callable[[str], None]


@dataclass
class Child:
    """A program under supervision, and when it is due to be started again."""

    name: str
    launch: Launch
    process: process.Process
    started_at: float
    is_ours_to_stop: bool
    delay: float = 0.0
    due_at: float | None = None


def next_delay(previous: float, lived: float) -> float:
    """How many seconds to wait before the next start of a program that has `lived` so long.

    Args:
        previous: The delay before the start that ended now; 0 after the first.
        lived: Seconds from that start to its end.
    """
    if previous == 0 or lived >= LONG_LIFE:
        return FIRST_DELAY
    return min(previous * 2, LONGEST_DELAY)


class Supervisor:
    """Starts programs, starts them again when they end, and stops them together."""

    def __init__(self, report: Report) -> None:
        """Tell `report`, in a line of text, of every unexpected end."""
        self._report = report
        self._children: list[Child] = []

    def start(self, name: str, launch: Launch) -> process.Process:
        """Start a program and keep it running; it is stopped with us."""
        return self._add(name, launch, launch(), is_ours_to_stop=True)

    def watch(self, name: str, launch: Launch, running: process.Process) -> None:
        """Keep running what another has started; its owner stops it, after us."""
        self._add(name, launch, running, is_ours_to_stop=False)

    def run(self, interrupts: Interrupts) -> None:
        """Watch over the programs.

        Raises:
            Stopped: Always, and only when we are asked to stop.
        """
        while True:
            interrupts.wait(self.restart_dead())

    def restart_dead(self) -> float | None:
        """Start again what is due.

        Returns:
            The seconds until the next start is due; None while all run.
        """
        waits = [self._attend(child, time.monotonic()) for child in self._children]
        return min((wait for wait in waits if wait is not None), default=None)

    def stop(self, *, grace: float) -> None:
        """End, at the same time, all programs we started; kill what is left after `grace` seconds."""
        ours = [child for child in self._children if child.is_ours_to_stop]
        process.stop([(child.process, signal.SIGTERM) for child in ours], grace=grace)

    def _add(self, name: str, launch: Launch, running: process.Process, *, is_ours_to_stop: bool) -> process.Process:
        self._children.append(Child(name, launch, running, time.monotonic(), is_ours_to_stop))
        return running

    def _attend(self, child: Child, now: float) -> float | None:
        if child.process.poll() is None:
            return None
        if child.due_at is None:
            child.delay = next_delay(child.delay, now - child.started_at)
            child.due_at = now + child.delay
            status = child.process.returncode
            self._report(f"{child.name} ended with status {status}; starting it again in {child.delay:.1f} s")
        if now < child.due_at:
            return child.due_at - now
        self._restart(child, now)
        return 0.0  # look again at once: it may have failed

    def _restart(self, child: Child, now: float) -> None:
        child.due_at = None
        child.started_at = now
        try:
            child.process = child.launch()
        except OSError as error:  # no memory, no disk: as good as a death
            self._report(f"{child.name} cannot be started: {error}")
