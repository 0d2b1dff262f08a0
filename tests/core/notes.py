"""A table of one row, read and written over a small pool."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.core.database import Database
from tests.core.sites import settings_of


@dataclass(frozen=True)
class Note:
    """One row of its own table, and the pool over which it is read and written."""

    database: Database
    table: str

    async def words(self) -> str:
        async with self.database.transaction() as tx:
            found: str = await tx.fetchval(f"SELECT words FROM {self.table}")
        return found

    def write(self, words: str) -> str:
        """The statement that changes the row."""
        return f"UPDATE {self.table} SET words = '{words}'"

    async def backend(self) -> int:
        """The id of the Postgres process of a pooled connection."""
        async with self.database.transaction() as tx:
            pid: int = await tx.fetchval("SELECT pg_backend_pid()")
        return pid


@asynccontextmanager
async def open_note(
    environment: dict[str, str], *, pool_size: int = 1, statement_seconds: float = 10
) -> AsyncIterator[Note]:
    """A new table that says 'old', over its own pool."""
    opened = Database.open(settings_of(environment), pool_size=pool_size, statement_seconds=statement_seconds)
    table = f"note_{secrets.token_hex(6)}"
    async with opened.transaction() as tx:
        await tx.execute(f"CREATE TABLE {table} AS SELECT 'old' AS words")
    yield Note(opened, table)
    async with opened.transaction() as tx:
        await tx.execute(f"DROP TABLE {table}")
    await opened.close()
