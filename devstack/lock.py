import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from devstack.errors import StackError

_POLL = 0.1


class LockHeldError(StackError):
    """Another process works in the same folder."""


@contextmanager
def exclusive_lock(path: Path, *, patience: float, pause: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Hold a lock that is released when this process ends, even if it is killed.

    Args:
        path: The lock file; it holds the process id of the holder and is never removed.
        patience: Seconds to wait for the current holder, which may be about to end.
        pause: Called with seconds while waiting; may raise in order to give up.

    Raises:
        LockHeldError: It is still held.
    """
    with path.open("a+") as file:
        deadline = time.monotonic() + patience
        while not _try_lock(file):
            if time.monotonic() > deadline:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise LockHeldError(f"{path.parent} is in use by another process, pid {holder}. Stop that one first.")
            pause(_POLL)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
