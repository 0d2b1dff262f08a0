import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from devstack import process
from devstack.errors import StackError


class ManagedProcess(ABC):
    """A program that we start, stop, kill and start again; a subclass says how it is started."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self.process: process.Process | None = None

    @property
    def running(self) -> process.Process:
        """The process that was started last."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self.process

    @property
    def pid(self) -> int:
        """The process id of the process that was started last."""
        return self.running.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process that was started last still runs."""
        return self.process is not None and self.process.poll() is None

    @abstractmethod
    def launch(self) -> process.Process:
        """Start the program without waiting until it is ready."""

    @abstractmethod
    def start(self) -> None:
        """Start the program and wait until it is ready."""

    def stop(self, *, grace: float = 10.0) -> None:
        """Ask the program to end; kill it if it still runs after `grace` seconds."""
        stop_all(self, grace=grace)

    def kill(self) -> None:
        """End the program as a crash would."""
        if self.process is not None:
            process.kill(self.process)


def require_orderly_end(*programs: ManagedProcess, grace: float) -> None:
    """Stop all programs like `stop_all`, and do not accept that one has to be killed.

    Raises:
        StackError: A program did not end by itself within `grace` seconds; it is killed.
    """
    running = [program for program in programs if program.is_alive]
    stop_all(*programs, grace=grace)
    killed = [program.name for program in running if program.running.returncode == -signal.SIGKILL]
    if killed:
        raise StackError(f"{', '.join(killed)}: did not end within {grace:.0f} s of the request to stop")


def stop_all(*programs: ManagedProcess, grace: float) -> None:
    """Ask all programs to end, at the same time; kill those that still run after `grace` seconds."""
    process.stop(
        [(program.process, program.stop_signal) for program in programs if program.process is not None], grace=grace
    )
