"""Programs of the bench: started, pinned to their core, and waited for until they listen."""

import socket
import time
from collections.abc import Iterable

from bench.processor import pin
from devstack.errors import StartupError
from devstack.programs import Program

_READY_SECONDS = 60.0
_POLL_SECONDS = 0.05


def start_listening(program: Program, port: int, cores: Iterable[int] | None = None) -> None:
    """Start a program, pin it to these cores if there are any, and wait until it listens on the port and is ready.

    Raises:
        StartupError: it has ended, or does not listen in time.
    """
    program.launch()
    if cores is not None:
        pin(program.pid, cores)
    deadline = time.monotonic() + _READY_SECONDS
    while not _listens(port):
        if not program.is_alive or time.monotonic() > deadline:
            raise StartupError(program.name, f"does not listen on port {port}", program.log)
        time.sleep(_POLL_SECONDS)
    program.wait_until_ready()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
