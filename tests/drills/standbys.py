"""A Postgres and a standby that streams from it, one of which takes over from the other."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from devstack.account import account_for
from devstack.cluster import OWNER_PASSWORD
from devstack.ports import free_port
from devstack.postgres import Postgres, _programs
from tests.drills.product import made

_STANDBY = "standby"


class Pair:
    """The primary, its standby, and how the product is told of both."""

    def __init__(self, primary: Postgres, standby: Postgres) -> None:
        self.primary = primary
        self.standby = standby

    @property
    def url(self) -> str:
        """Both hosts in one URL, of which whoever takes writes is used."""
        parts = urlsplit(self.primary.url)
        credentials = parts.netloc.rpartition("@")[0]
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return parts._replace(netloc=f"{credentials}@{hosts}", query="target_session_attrs=read-write").geturl()

    async def be_synchronous(self) -> None:
        """From now on nothing is committed that the standby does not have on its disk."""
        await _run(self.primary, f"ALTER SYSTEM SET synchronous_standby_names = '{_STANDBY}'")
        await _run(self.primary, "SELECT pg_reload_conf()")

    async def promote(self) -> None:
        """Let the standby take over. Nobody else waits for the old primary's return."""
        await _run(self.standby, "ALTER SYSTEM RESET synchronous_standby_names")
        await _run(self.standby, "SELECT pg_reload_conf()")
        await _run(self.standby, "SELECT pg_promote()")

    async def senders(self) -> list[int]:
        """The processes of the primary that send WAL to the standby."""
        connection = await asyncpg.connect(self.primary.url)
        try:
            return [row["pid"] for row in await connection.fetch("SELECT pid FROM pg_stat_replication")]
        finally:
            await connection.close()

    def crash(self) -> None:
        """End all processes of the primary at once, as a machine that loses its power does."""
        parent = self.primary.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        self.primary.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)


@contextmanager
def replicated(folder: Path) -> Iterator[Pair]:
    """A primary with a standby that follows it."""
    made(folder)
    primary = Postgres(folder / "primary", log=folder / "primary.log", durable=True)
    primary.start()
    standby = Postgres(folder / "standby", log=folder / "standby.log", durable=True)
    try:
        _copy(primary, standby)
        standby.start()
        yield Pair(primary, standby)
    finally:
        standby.stop()
        primary.stop()


def _copy(primary: Postgres, standby: Postgres) -> None:
    """Make the standby's folder from the running primary."""
    made(standby.folder)
    for name in ("password", OWNER_PASSWORD):
        (standby.folder / name).write_text((primary.folder / name).read_text())
    source = urlsplit(primary.url)._replace(path="", query=f"application_name={_STANDBY}").geturl()
    data = str(standby.folder / "data")
    command = [str(_programs() / "pg_basebackup"), "-d", source, "-D", data, "-R", "-X", "stream", "-c", "fast"]
    account = account_for(primary.folder, primary.stop_signal)
    subprocess.run([*account.prefix, *command], check=True, env={"LC_ALL": "C"}, capture_output=True)
    standby.port = free_port()


async def _run(server: Postgres, statement: str) -> None:
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
