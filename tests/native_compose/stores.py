"""The services that Compose takes from others: Postgres, Valkey and SeaweedFS, as processes with their settings."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from devstack import process
from devstack.ports import free_port
from devstack.postgres import Postgres, _programs
from devstack.private_files import write_private
from devstack.valkey import Valkey
from tests.native_compose.outcome import Outcome, run
from tests.storage import seaweedfs

_PARTS = ("master", "volume", "filer", "s3", "admin")
_GRPC = 10_000


class Store(Protocol):
    """A service that keeps something."""

    @property
    def address(self) -> str:
        """Its host and port."""

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it with the environment of its service."""

    def stop(self) -> None:
        """Stop it."""

    def command(self, arguments: list[str], stdin: str) -> Outcome:
        """Run a program in its container."""


class PostgresService:
    """Postgres, whose superuser `junis` has the password of the settings, as the image makes it."""

    def __init__(self, folder: Path) -> None:
        self._server = Postgres(folder / "postgres", log=folder / "postgres.log", durable=False)

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it. The password is set with the first start only."""
        is_new = not self._server.folder.exists()
        self._server.start()
        if is_new:
            password = environment["POSTGRES_PASSWORD"]
            self.command(["psql"], f"ALTER ROLE junis SUPERUSER LOGIN PASSWORD '{password}'")

    def stop(self) -> None:
        """Stop it."""
        self._server.stop()

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self._server.port}"

    def command(self, arguments: list[str], stdin: str) -> Outcome:
        """Run one of Postgres's programs in the container, where everybody is trusted."""
        program, *options = arguments
        while "-U" in options:
            del options[options.index("-U") : options.index("-U") + 2]
        environment = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(self._server.port), "PGUSER": "app"}
        environment |= {"PGDATABASE": "junis", "PGPASSWORD": (self._server.folder / "password").read_text()}
        return run([str(_programs() / program), *options], environment, stdin)


class ValkeyService:
    """Valkey with a password."""

    def __init__(self, folder: Path) -> None:
        self._server = Valkey(folder / "valkey", log=folder / "valkey.log", durable=False)
        self._password = ""

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it with the password of the settings alone."""
        self._server.folder.mkdir(parents=True, exist_ok=True)
        self._password = environment["REDISCLI_AUTH"]
        write_private(self._server.folder / "password", self._password)
        self._server.start()

    def stop(self) -> None:
        """Stop it."""
        self._server.stop()

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self._server.port}"

    def command(self, arguments: list[str], stdin: str) -> Outcome:
        """`valkey-cli`, which no package has: each line of the input is a command."""
        script = Path(__file__).with_name("valkey_cli.py")
        environment = {**os.environ, "REDISCLI_AUTH": self._password, "VALKEY_PORT": str(self._server.port)}
        return run([sys.executable, str(script), *arguments[1:]], environment, stdin)


class ObjectsService:
    """SeaweedFS, which takes its keys from the environment, as Compose runs it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "objects"
        self._log = folder / "objects.log"
        self._ports = {part: free_port() for part in _PARTS}
        self._process: process.Process | None = None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it, and wait until it answers."""
        self._folder.mkdir(exist_ok=True)
        command = [seaweedfs._program(), "mini", f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        command += ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += [f"-{part}.port={port}" for part, port in self._ports.items()]
        self._process = process.spawn(
            command,
            env={**os.environ, **environment},
            log=self._log,
            cwd=self._folder,
            death_signal=signal.SIGKILL,
        )
        seaweedfs._wait_until_ready(self._process, self._ports["s3"], self._log)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            process.stop([(self._process, signal.SIGTERM)], grace=20)

    @property
    def address(self) -> str:
        """Its host and the port of S3."""
        return f"127.0.0.1:{self._ports['s3']}"

    def command(self, arguments: list[str], stdin: str) -> Outcome:
        """Run `weed shell`."""
        places = [f"-{part}=127.0.0.1:{port}.{port + _GRPC}" for part, port in self._ports.items()]
        options = [place for place in places if place.startswith(("-master", "-filer"))]
        return run([seaweedfs._program(), *arguments[1:], *options], dict(os.environ), stdin)
