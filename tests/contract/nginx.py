"""nginx as it stands before many an API: its own defaults, compression for everything, and little patience."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devstack.ports import free_port

IDLE_SECONDS = 10

_START_SECONDS = 10
# Debian keeps it out of the path of users other than root.
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
_TEMPORARY = ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    {temporary}
    gzip on;
    gzip_types *;
    gzip_proxied any;
    gzip_min_length 1;
    proxy_read_timeout {idle}s;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass {api}; }}
        location /vendor/ {{ proxy_pass {vendor}/; }}
    }}
}}
"""


@contextmanager
def running_nginx(folder: Path, *, api: str, vendor: str) -> Iterator[str]:
    """Runs nginx on a free port, as this user and with all its files in a folder; its URL.

    Skips the test where there is no nginx.

    Args:
        folder: for what it writes.
        api: URL of what answers `/`.
        vendor: URL of what answers `/vendor/`.
    """
    program = shutil.which("nginx", path=_SEARCH_PATH)
    if program is None:
        pytest.skip("nginx is not installed (apt install nginx-light)")
    port = free_port()
    temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in _TEMPORARY)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, temporary=temporary, idle=IDLE_SECONDS, port=port, api=api, vendor=vendor)
    )
    log = folder / "error.log"
    # `-e`: what it says before it has read its configuration would go to a log that only root may write.
    process = subprocess.Popen([program, "-e", log, "-p", folder, "-c", configuration])
    try:
        _wait_until_listening(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nginx did not start:\n{log.read_text()}")
