"""Processes that sleep for a while: SIGSTOP and SIGCONT, for processes of the tests' own servers and programs only."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Let the processes sleep during the block."""
    stopped: list[int] = []
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
