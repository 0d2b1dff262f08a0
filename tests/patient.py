"""Transactions of a test that stay open for as long as it wants, to keep a lock that others wait for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.core.database import Database, Transaction

_NO_LIMITS = "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = 0"


@asynccontextmanager
async def patient_transaction(database: Database) -> AsyncIterator[Transaction]:
    """A transaction that may wait for locks, and keep them between two statements, without a limit."""
    async with database.transaction() as tx:
        await tx.execute(_NO_LIMITS)
        yield tx
