"""Runs one of the servers on this machine."""

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from devstack import process
from devstack.errors import last_lines
from devstack.probe import answers_ok
from tests.waiting import wait_until


@contextmanager
def running(command: Sequence[str | Path], env: Mapping[str, str], log: Path, ready_url: str) -> Iterator[None]:
    """Run the program during the block, which begins when GET of `ready_url` is answered with 200."""
    started = process.spawn(
        [str(word) for word in command], env=env, log=log, death_signal=signal.SIGKILL, cwd=log.parent
    )
    try:
        wait_until(lambda: answers_ok(ready_url) or started.poll() is not None)
        assert started.poll() is None, last_lines(log)
        yield
    finally:
        started.terminate()
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            process.kill(started)
