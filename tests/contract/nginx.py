"""nginx as it often stands in front of an API: its defaults, with compression for everything and short timeouts."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devstack import process
from devstack.ports import free_port, is_free
from tests.waiting import PATIENCE, wait_until

# Several times the API's interval between keep-alives.
IDLE_SECONDS = 20

# Debian installs it outside the PATH of users other than root.
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
    """Run nginx on a free port, as this user and with all its files in a folder; yields its URL.

    Skips the test if nginx is missing.

    Args:
        folder: for the files that it writes.
        api: URL of the server for `/`.
        vendor: URL of the server for `/vendor/`.
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
    # `-e`: until nginx has read its configuration, it would log to a file that only root may write.
    command = [program, "-e", str(log), "-p", str(folder), "-c", str(configuration)]
    server = process.spawn(command, env=os.environ, log=log, death_signal=signal.SIGKILL)
    try:
        wait_until(lambda: server.poll() is not None or not is_free("127.0.0.1", port))
        assert server.poll() is None, f"nginx did not start:\n{log.read_text()}"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stop([(server, signal.SIGTERM)], grace=PATIENCE)
