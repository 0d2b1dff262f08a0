"""What is stored is sealed again with the new key, whatever else happens meanwhile."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import LargeBinary

import app.models  # noqa: F401 - the tables of every feature
from app.core.database import Base, Database
from app.core.secret_keys import SecretKeys
from app.resealing.columns import SEALED_COLUMNS
from app.resealing.service import Needed, keys_needed, reseal
from tests.resealing.conftest import CHANGED, COLUMN, NEW, OLD, OTHER_COLUMN
from tests.waiting import until

COLUMNS = (COLUMN, OTHER_COLUMN)
# Hashes, and what is sealed with keys that only browsers have.
NOT_SEALED_WITH_IT = {
    ("api_keys", "key_hash"),
    ("console_sessions", "device_hash"),
    ("console_sessions", "token_hash"),
    ("generations", "request_key"),
    ("input_files", "data"),
    ("input_files", "request_key"),
    ("response_events", "body"),
    ("response_runs", "request"),
    ("idempotency_keys", "request_hash"),
    ("user_idempotency_keys", "request_hash"),
    ("invitations", "token_hash"),
    ("one_time_links", "token_hash"),
    ("sign_in_attempts", "device_hash"),
    ("sign_in_attempts", "email_hash"),
    ("unshown_api_keys", "sealed"),
    ("unshown_api_keys", "token_hash"),
}


async def texts(database: Database, keys: SecretKeys) -> Mapping[str, str | None]:
    """What the rows' first column opens to with these keys."""
    async with database.transaction() as tx:
        found = await tx.fetch("SELECT id, secret FROM sealed_of_the_tests WHERE secret IS NOT NULL")
    return {row["id"]: COLUMN.unseal(keys, row["id"], row["secret"]) for row in found}


async def needed(database: Database, keys: SecretKeys) -> Needed:
    async with database.transaction() as tx:
        return await keys_needed(tx, keys, COLUMNS)


async def _has_begun(database: Database) -> bool:
    return (await needed(database, CHANGED)).current > 0


async def write(database: Database, row_id: str, value: Any) -> None:
    async with database.transaction() as tx:
        await tx.execute("UPDATE sealed_of_the_tests SET secret = $2 WHERE id = $1", row_id, value)


async def test_everything_is_sealed_with_the_new_key_and_says_the_same(database: Database, rows: list[str]) -> None:
    before = await needed(database, CHANGED)
    assert await texts(database, NEW) == dict.fromkeys(rows)

    results = await reseal(database, CHANGED, COLUMNS)

    assert before == Needed(accepted=len(rows))
    assert [(result.resealed, list(result.unreadable)) for result in results] == [(len(rows), []), (0, [])]
    assert await texts(database, NEW) == {row_id: f"secret of {row_id}" for row_id in rows}
    assert await needed(database, NEW) == Needed(current=len(rows))


async def test_several_runs_at_once_seal_each_value_once(database: Database, rows: list[str]) -> None:
    runs = await asyncio.gather(*(reseal(database, CHANGED, COLUMNS) for _ in range(3)))

    assert sum(result.resealed for results in runs for result in results) == len(rows)
    assert await texts(database, NEW) == {row_id: f"secret of {row_id}" for row_id in rows}


async def test_a_run_that_was_interrupted_is_gone_on_with(database: Database, rows: list[str]) -> None:
    running = asyncio.create_task(reseal(database, CHANGED, COLUMNS))
    await until(partial(_has_begun, database))
    running.cancel()
    await asyncio.wait({running})

    assert await texts(database, CHANGED) == {row_id: f"secret of {row_id}" for row_id in rows}
    await reseal(database, CHANGED, COLUMNS)
    assert await needed(database, NEW) == Needed(current=len(rows))


async def test_what_is_written_meanwhile_is_kept(database: Database, rows: list[str]) -> None:
    newest = COLUMN.seal(NEW, rows[-1], "written meanwhile")
    async with database.transaction() as tx:
        await tx.execute("UPDATE sealed_of_the_tests SET secret = $2 WHERE id = $1", rows[-1], newest)
        running = asyncio.create_task(reseal(database, CHANGED, (COLUMN,)))
        # The run has read the value from before, and waits for this transaction to replace it.
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%_of_the_tests%'"
        )
        await until(lambda: database.fetchval(waiting))
    (result,) = await running

    assert result.resealed == len(rows) - 1
    assert (await texts(database, NEW))[rows[-1]] == "written meanwhile"


async def test_what_no_key_opens_is_named_and_stays(database: Database, rows: list[str]) -> None:
    foreign = COLUMN.seal(SecretKeys(b"a third key"), rows[0], "lost")
    await write(database, rows[0], foreign)
    await write(database, rows[1], COLUMN.seal(OLD, rows[2], "of another row"))

    assert await needed(database, CHANGED) == Needed(accepted=len(rows) - 1, unknown=1)
    (result,) = await reseal(database, CHANGED, (COLUMN,))

    assert list(result.unreadable) == rows[:2]
    assert await needed(database, NEW) == Needed(current=len(rows) - 2, unknown=2)
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT secret FROM sealed_of_the_tests WHERE id = $1", rows[0]) == foreign


def test_every_column_that_holds_bytes_is_sealed_again_or_known_not_to_be_sealed() -> None:
    columns = {
        (table.name, column.name)
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }

    assert columns == NOT_SEALED_WITH_IT | {(each.table, each.column) for each in SEALED_COLUMNS}
