"""Steps that are cancelled: they leave no lock, and no connection on which nothing is committed any more."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.core.database import Database
from app.core.settings import Settings
from app.credits import settlement
from tests.credits.accounts import Account
from tests.credits.steps import grant, take


@pytest.fixture
async def own_pool(environment: dict[str, str]) -> AsyncIterator[Database]:
    """A pool that no other test uses, of one connection."""
    values = {**environment, "DATABASE_POOL_SIZE": "1"}
    opened = Database.open(Settings.model_validate({name.lower(): value for name, value in values.items()}))
    yield opened
    await opened.close()


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_step_that_is_cancelled_leaves_no_lock_and_no_broken_connection(
    account: Account, own_pool: Database, times: int
) -> None:
    async def wait_with_the_lock(is_locked: asyncio.Event) -> None:
        async with own_pool.transaction() as tx:
            await settlement.lock_account(tx, account.organization.id)
            is_locked.set()
            while True:
                await tx.execute("SELECT 1")

    for _ in range(5):
        is_locked = asyncio.Event()
        waiting = asyncio.create_task(wait_with_the_lock(is_locked))
        await is_locked.wait()
        # Cancelled again while it rolls back, as by a time limit after a shutdown, or by a scope of anyio.
        for _ in range(times):
            waiting.cancel()
            await asyncio.sleep(0)
        await asyncio.wait({waiting})

        async with asyncio.timeout(5):
            await account.grant(secrets.token_hex(4))
        async with own_pool.transaction() as tx:
            await tx.fetchval("SELECT 1")


@pytest.mark.parametrize("turns", range(12))
async def test_after_a_step_that_is_cancelled_when_it_begins_the_next_one_is_committed(
    account: Account, own_pool: Database, turns: int
) -> None:
    async def nothing() -> None:
        async with own_pool.transaction():
            pass

    await nothing()
    beginning = asyncio.create_task(nothing())
    # So many turns of the event loop, and the connection is being checked, or BEGIN is under way, or COMMIT.
    for _ in range(turns):
        await asyncio.sleep(0)
    beginning.cancel()
    await asyncio.wait({beginning})

    await take(replace(account, database=own_pool), grant("gift", "1"))

    assert (await account.balance()).balance == 8
