"""Keep programs running: what ends is started again, with backoff."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from devstack.interrupts import Interrupts
from devstack.managed import ManagedProcess, stop_all

FIRST_DELAY = 0.2  # seconds
LONGEST_DELAY = 10.0
LONG_LIFE = 30.0  # a program that ran this long starts again at the first delay

Report = Callable[[str], None]


@dataclass
class Child:
    """A program under supervision, and when it is due to be started again."""

    program: ManagedProcess
    started_at: float
    is_ours_to_stop: bool
    delay: float = 0.0
    due_at: float | None = None


def next_delay(previous: float, lived: float) -> float:
    """How many seconds to wait before the next start of a program that has just ended.

    Args:
        previous: The delay before its last start; 0 if that was its first.
        lived: Seconds from its last start to its end.
    """
    if previous == 0 or lived >= LONG_LIFE:
        return FIRST_DELAY
    return min(previous * 2, LONGEST_DELAY)


class Supervisor:
    """Starts programs, starts them again when they end, and stops them together."""

    def __init__(self, report: Report) -> None:
        """Call `report` with a line of text for every unexpected end."""
        self._report = report
        self._children: list[Child] = []

    def start(self, program: ManagedProcess) -> None:
        """Start a program and keep it running until `stop`."""
        program.launch()
        self._children.append(Child(program, time.monotonic(), is_ours_to_stop=True))

    def watch(self, program: ManagedProcess) -> None:
        """Keep a program running that its owner has started; the owner also stops it, after us."""
        self._children.append(Child(program, time.monotonic(), is_ours_to_stop=False))

    def run(self, interrupts: Interrupts) -> None:
        """Keep the programs running until we are asked to stop.

        Raises:
            Stopped: Always: nothing else ends it.
        """
        while True:
            interrupts.wait(self.restart_dead())

    def restart_dead(self) -> float | None:
        """Start again every program whose delay is over.

        Returns:
            The seconds until the next start is due; None while all run.
        """
        waits = [self._attend(child, time.monotonic()) for child in self._children]
        return min((wait for wait in waits if wait is not None), default=None)

    def stop(self, *, grace: float) -> None:
        """Stop all programs we started, at the same time; kill what still runs after `grace` seconds."""
        stop_all(*(child.program for child in self._children if child.is_ours_to_stop), grace=grace)

    def _attend(self, child: Child, now: float) -> float | None:
        if child.program.is_alive:
            return None
        if child.due_at is None:
            child.delay = next_delay(child.delay, now - child.started_at)
            child.due_at = now + child.delay
            status = child.program.running.returncode
            self._report(f"{child.program.name} ended with status {status}; starting it again in {child.delay:.1f} s")
        if now < child.due_at:
            return child.due_at - now
        self._restart(child, now)
        return 0.0  # look again at once: it may have failed

    def _restart(self, child: Child, now: float) -> None:
        child.due_at = None
        child.started_at = now
        try:
            child.program.launch()
        except OSError as error:  # no memory, no disk: treated as if it had ended at once
            self._report(f"{child.program.name} cannot be started: {error}")
