"""Valkey servers with further settings: replicas, Sentinels, nodes of a cluster. All have the same password."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from devstack import process
from devstack.private_files import write_private
from devstack.valkey import Valkey, _program

PASSWORD = "of-the-tests"


class ConfiguredValkey(Valkey):
    """A Valkey with these settings besides its own, with names as in its configuration file."""

    def __init__(self, folder: Path, settings: Mapping[str, str], *arguments: str) -> None:
        super().__init__(folder, log=folder / "log", durable=False)
        self._settings = settings
        self._arguments = arguments

    def prepare(self) -> None:
        super().prepare()
        write_private(self.folder / "password", PASSWORD)

    def spawn(self, port: int) -> process.Process:
        write_private(self.folder / "valkey.conf", self._configuration(port))
        command = [str(_program()), self.argument, *self._arguments]
        return process.spawn(command, env=os.environ, log=self.log, death_signal=self.stop_signal, cwd=self.folder)

    def _configuration(self, port: int) -> str:
        further = {"primaryauth": PASSWORD, **self._settings}
        return super()._configuration(port) + "".join(f"{name} {value}\n" for name, value in further.items())

    def client(self) -> Redis:
        """A client of this server and no other."""
        return Redis(port=self.port or 0, password=PASSWORD)


class Sentinel(ConfiguredValkey):
    """A Valkey Sentinel that knows no leader yet."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {}, "--sentinel")

    def is_ready(self) -> bool:
        # A Sentinel does not know the command that ends a connection.
        try:
            with socket.create_connection(("127.0.0.1", self.port or 0), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return bool(connection.recv(1))
        except OSError:
            return False

    def _configuration(self, port: int) -> str:
        return f"bind 127.0.0.1\nport {port}\nrequirepass {PASSWORD}\ndir .\npidfile valkey.pid\nset-proc-title no\n"


@contextmanager
def running(*servers: Valkey) -> Iterator[None]:
    """Run the servers during the block."""
    with ExitStack() as stack:
        for server in servers:
            server.start()
            stack.callback(server.stop)
        yield


async def tell(client: Redis, *words: str | int | None) -> Any:
    """The response to a command that the client library has no method for."""
    return await client.execute_command(*words)  # type: ignore[no-untyped-call]  # the client is untyped
