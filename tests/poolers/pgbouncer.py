"""PgBouncer in transaction mode, as managed databases have it in front."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devstack import process
from devstack.ports import free_port, is_free
from tests.waiting import PATIENCE, wait_until

# Debian installs it outside the PATH of users other than root.
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
# Fewer connections to Postgres than clients have, so that every transaction may get another one.
_CONFIGURATION = """
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listening}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_round_robin = 1
"""


@contextmanager
def running_pgbouncer(folder: Path, database_url: str) -> Iterator[str]:
    """Run PgBouncer on a free port; yields the URL of the same database through it.

    Skips the test if PgBouncer is missing.
    """
    program = shutil.which("pgbouncer", path=_SEARCH_PATH)
    if program is None:
        pytest.skip("pgbouncer is not installed (apt install pgbouncer)")
    url, port = urlsplit(database_url), free_port()
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        _CONFIGURATION.format(
            host=url.hostname, port=url.port, user=url.username, password=url.password, listening=port
        )
    )
    log = folder / "pgbouncer.log"
    # It refuses to run as root.
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    command = [program, *user, str(configuration)]
    server = process.spawn(command, env=os.environ, log=log, death_signal=signal.SIGKILL)
    try:
        wait_until(lambda: server.poll() is not None or not is_free("127.0.0.1", port))
        assert server.poll() is None, f"PgBouncer did not start:\n{log.read_text()}"
        yield url._replace(netloc=f"{url.username}@127.0.0.1:{port}").geturl()
    finally:
        process.stop([(server, signal.SIGTERM)], grace=PATIENCE)
