"""Python programs: starting them, waiting until they answer, running them to their end."""

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from devstack import process
from devstack.errors import StartupError
from devstack.managed import ManagedProcess, require_orderly_end
from devstack.probe import answers_ok

_POLL = 0.05
_READY_WITHIN = 120.0  # seconds; generous, because a program that ended is noticed at once
_GRACE = 60.0  # generous too: only a program that hangs takes so long
_ABANDONED_GRACE = 2.0


class Program(ManagedProcess):
    """A Python program as a process."""

    def __init__(
        self,
        name: str,
        arguments: tuple[str, ...],
        env: Mapping[str, str],
        log: Path,
        *,
        folder: Path | None = None,
        ready_url: str | None = None,
    ) -> None:
        """Describe the program; nothing is started yet.

        Args:
            name: What it is called in messages.
            arguments: Those of the Python interpreter, such as `-m` and a module.
            env: Its whole environment.
            log: The file its output is appended to.
            folder: Its working directory; ours by default.
            ready_url: GET of this URL answers 200 once it is ready. Without one it is ready when it is started.
        """
        super().__init__(name, log)
        self.arguments = arguments
        self.env = env
        self.folder = folder
        self.ready_url = ready_url

    def launch(self, *, stdin: IO[bytes] | int | None = None, stdout: IO[bytes] | int | None = None) -> process.Process:
        """Start it without waiting for anything; for the arguments see `process.spawn`."""
        self.process = process.spawn(
            [sys.executable, *self.arguments],
            env=self.env,
            log=self.log,
            # It can be killed at any time without harm, and its port must be free for the next start.
            death_signal=signal.SIGKILL,
            cwd=self.folder,
            stdin=stdin,
            stdout=stdout,
        )
        return self.process

    def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            StartupError: It ended, or did not answer in time.
        """
        self.launch()
        self.wait_until_ready()

    def wait_until_ready(self, pause: Callable[[float], None] = time.sleep) -> None:
        """Wait until it is ready; other than the start, this may happen in any thread.

        Args:
            pause: Called with seconds while waiting; may raise in order to give up.

        Raises:
            StartupError: It ended, or did not answer in time.
        """
        deadline = time.monotonic() + _READY_WITHIN
        while not (self.ready_url is None or answers_ok(self.ready_url)):
            if (status := self.running.poll()) is not None:
                raise StartupError(self.name, f"ended with status {status}", self.log)
            if time.monotonic() > deadline:
                raise StartupError(self.name, f"did not answer {self.ready_url} in {_READY_WITHIN:.0f} s", self.log)
            pause(_POLL)

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Run it, ready, for as long as the block takes.

        Raises:
            StartupError: It ended, or did not answer in time.
            StackError: It did not end when it was asked to.
        """
        try:
            self.start()
            yield self
        finally:
            require_orderly_end(self, grace=_GRACE)


def run_to_end(program: Program, pause: Callable[[float], None] = time.sleep) -> str:
    """Run a program that ends by itself.

    Args:
        program: The program.
        pause: Called with seconds while waiting; may raise in order to give up.

    Returns:
        Its standard output, which may hold secrets and therefore stays out of the log.

    Raises:
        StartupError: It ended with a status other than 0.
    """
    with tempfile.TemporaryFile() as stdout:
        running = program.launch(stdout=stdout)
        try:
            while running.poll() is None:
                pause(_POLL)
        finally:
            program.stop(grace=_ABANDONED_GRACE)
        if running.returncode != 0:
            raise StartupError(program.name, f"ended with status {running.returncode}", program.log)
        stdout.seek(0)
        return stdout.read().decode()
