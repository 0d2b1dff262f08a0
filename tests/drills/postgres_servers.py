"""A Postgres that is started again whenever it ends, as every supervisor does."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from devstack.postgres import Postgres

_LOOK_SECONDS = 0.2


def postgres_in(folder: Path, *, wal: Path | None = None) -> Postgres:
    """A running Postgres with its data in this folder, and its WAL in another one if that is given."""
    server = Postgres(folder, log=folder.parent.with_suffix(".log"), durable=True)
    server.prepare()
    if wal is not None:
        inside = folder / "data" / "pg_wal"
        shutil.move(inside, wal)
        inside.symlink_to(wal)
    server.start()
    return server


@asynccontextmanager
async def supervised(server: Postgres) -> AsyncIterator[list[int]]:
    """Start the server again whenever it has ended; yields the statuses with which it did."""
    statuses: list[int] = []

    async def supervise() -> None:
        while True:
            if (status := server.running.poll()) is not None:
                statuses.append(status)
                server.launch()
            await asyncio.sleep(_LOOK_SECONDS)

    task = asyncio.create_task(supervise())
    try:
        yield statuses
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.stop()
