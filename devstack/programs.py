"""The server's own programs: how they are started, waited for, and run to their end."""

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from devstack import process
from devstack.errors import StartupError
from devstack.probe import answers_ok

_POLL = 0.05
_READY_WITHIN = 120.0  # seconds; a loaded machine takes its time, and one that ended is noticed at once
_GRACE = 2.0


@dataclass(frozen=True)
class Program:
    """A Python module run as a program."""

    name: str
    arguments: tuple[str, ...]  # of `python -m`
    env: Mapping[str, str]
    log: Path

    def launch(self, stdout: IO[bytes] | None = None) -> process.Process:
        """Start it without waiting for anything."""
        return process.spawn(
            [sys.executable, "-m", *self.arguments],
            env=self.env,
            log=self.log,
            # Nothing it does needs an orderly end, and its port must be free for the next start.
            death_signal=signal.SIGKILL,
            stdout=stdout,
        )


def wait_until_ready(program: Program, started: process.Process, url: str, pause: Callable[[float], None]) -> None:
    """Wait until a program that was just started answers GET `url` with 200.

    Raises:
        StartupError: It ended, or did not answer in time.
    """
    deadline = time.monotonic() + _READY_WITHIN
    while not answers_ok(url):
        if started.poll() is not None:
            raise StartupError(program.name, f"ended with status {started.returncode}", program.log)
        if time.monotonic() > deadline:
            raise StartupError(program.name, f"did not answer {url} within {_READY_WITHIN:.0f} s", program.log)
        pause(_POLL)


def run_to_end(program: Program, pause: Callable[[float], None]) -> str:
    """Run a program that ends by itself.

    Returns:
        Its standard output, which may hold secrets and therefore stays out of the log.

    Raises:
        StartupError: It ended with a status other than 0.
    """
    with tempfile.TemporaryFile() as stdout:
        running = program.launch(stdout)
        try:
            while running.poll() is None:
                pause(_POLL)
        finally:
            process.stop([(running, signal.SIGTERM)], grace=_GRACE)
        if running.returncode != 0:
            raise StartupError(program.name, f"ended with status {running.returncode}", program.log)
        stdout.seek(0)
        return stdout.read().decode()
