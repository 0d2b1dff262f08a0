"""Migrations of tables that are in use: nobody queues behind them for long, and they wait as long as it takes."""

from pathlib import Path

import asyncpg
import pytest

from tests.upgrades.migrators import has_printed, migrator, status_of
from tests.waiting import until

_TABLES = ("credit_holds", "ledger_entries", "generations", "outputs", "idempotency_keys", "organizations", "prices")
# What a request may wait for a lock, at most. The server itself gives up after two seconds.
_QUEUE = "SET lock_timeout = '1s'"
_ROUNDS = 15


@pytest.mark.parametrize(
    "use",
    [
        pytest.param("SELECT count(*) FROM {}", id="read"),
        pytest.param("DELETE FROM {} WHERE false", id="changed"),
    ],
)
@pytest.mark.parametrize("table", ["credit_holds", "outputs"])
async def test_nobody_queues_behind_a_migration_that_waits(
    older_url: str, tmp_path: Path, table: str, use: str
) -> None:
    migration = migrator(older_url, tmp_path / "migrate.log")
    user, request = [await asyncpg.connect(older_url) for _ in range(2)]
    await request.execute(_QUEUE)
    in_use = user.transaction()
    await in_use.start()
    await user.execute(use.format(table))

    migration.launch()

    async def is_waiting() -> bool:
        return has_printed(migration, f"Waiting for tables that are in use: ALTER TABLE {table}")

    await until(is_waiting)
    for _ in range(_ROUNDS):
        for name in _TABLES:
            # What INSERT, UPDATE and SELECT FOR UPDATE of the server need. It fails if it has to wait for a second.
            await request.execute(f"BEGIN; LOCK TABLE {name} IN ROW EXCLUSIVE MODE; COMMIT")
    await in_use.rollback()
    assert await status_of(migration) == 0
    await user.close()
    await request.close()


async def test_one_database_is_not_kept_waiting_by_a_transaction_in_another(older_url: str, tmp_path: Path) -> None:
    """CREATE INDEX CONCURRENTLY waits for older transactions of its own database only."""
    elsewhere = await asyncpg.connect(older_url.rpartition("/")[0] + "/postgres")
    transaction = elsewhere.transaction(isolation="repeatable_read")
    await transaction.start()
    await elsewhere.fetchval("SELECT 1")
    migration = migrator(older_url, tmp_path / "migrate.log")

    migration.launch()

    assert await status_of(migration) == 0
    await transaction.rollback()
    await elsewhere.close()
