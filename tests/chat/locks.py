"""Locks in Postgres that turns wait for, and lost connections while they wait."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from app.core.database import Database
from tests.factories import Organization
from tests.patient import patient_transaction
from tests.waiting import PATIENCE

_WAITING = """
SELECT pid FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%' || $1 || '%'
"""


@asynccontextmanager
async def locked_account(database: Database, organization: Organization) -> AsyncIterator[None]:
    """During the block nobody can hold or charge credits of this organization."""
    async with patient_transaction(database) as tx:
        await tx.execute("SELECT FROM credit_accounts WHERE organization_id = $1 FOR UPDATE", organization.id)
        yield


@asynccontextmanager
async def admitted(
    database: Database, organization: Organization, request: Coroutine[Any, Any, httpx.Response]
) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """The organization's only turn, already admitted. Its next statement on credits waits until the block ends."""
    async with AsyncExitStack() as behind:
        async with locked_account(database, organization):
            asking = asyncio.create_task(request)
            await until_waiting(database)
            # A lock on the table, not on the row: only for tables does Postgres grant locks in order.
            locking = asyncio.create_task(behind.enter_async_context(_locked_accounts(database)))
            await until_waiting(database, count=2)
        await locking
        yield asking


@asynccontextmanager
async def _locked_accounts(database: Database) -> AsyncIterator[None]:
    """During the block nobody can hold or charge credits."""
    async with patient_transaction(database) as tx:
        await tx.execute("LOCK TABLE credit_accounts IN EXCLUSIVE MODE")
        yield


async def until_waiting(database: Database, table: str = "credit_accounts", *, count: int = 1) -> list[int]:
    """Wait until `count` Postgres processes wait for a lock in a statement on this table. Returns their ids."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with database.transaction() as tx:
                waiting = [row["pid"] for row in await tx.fetch(_WAITING, table)]
            if len(waiting) >= count:
                return waiting
            await asyncio.sleep(0.01)


async def cut_off(database: Database) -> None:
    """End the connection that waits for an account, as if Postgres had gone away."""
    waiting = await until_waiting(database)
    async with database.transaction() as tx:
        for pid in waiting:
            await tx.execute("SELECT pg_terminate_backend($1, 10000)", pid)
