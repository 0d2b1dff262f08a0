import asyncio
import gc

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from tests.core.notes import Note
from tests.core.postgres_away import slow_to_close, unready_postgres
from tests.core.sites import settings_of
from tests.waiting import until


async def test_a_transaction_is_committed_at_the_end_of_its_block(note: Note) -> None:
    async with note.database.transaction() as tx:
        await tx.execute(note.write("new"))

    assert await note.words() == "new"


async def test_a_block_that_fails_is_rolled_back(note: Note) -> None:
    async def fail() -> None:
        async with note.database.transaction() as tx:
            await tx.execute(note.write("new"))
            await tx.session.execute(text(note.write("newer")))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()

    assert await note.words() == "old"


async def test_a_block_that_is_cancelled_is_rolled_back(note: Note) -> None:
    has_written = asyncio.Event()

    async def wait_for_ever() -> None:
        async with note.database.transaction() as tx:
            await tx.execute(note.write("new"))
            has_written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(wait_for_ever())
    await has_written.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert await note.words() == "old"


async def test_the_session_and_single_statements_share_the_transaction(note: Note) -> None:
    async with note.database.transaction() as tx:
        await tx.session.execute(text(note.write("session")))
        assert await tx.fetchval(f"SELECT words FROM {note.table}") == "session"
        await tx.execute(note.write("statement"))
        assert await tx.session.scalar(text(f"SELECT words FROM {note.table}")) == "statement"


async def test_callbacks_run_after_the_commit(note: Note) -> None:
    seen = []

    async def look() -> None:
        seen.append(await note.words())

    async with note.database.transaction() as tx:
        tx.after_commit(look)
        await tx.execute(note.write("new"))
        assert seen == []

    assert seen == ["new"]


async def test_callbacks_do_not_run_if_the_block_fails(note: Note) -> None:
    seen: list[str] = []

    async def look() -> None:
        seen.append("followed")

    async def fail() -> None:
        async with note.database.transaction() as tx:
            tx.after_commit(look)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()

    assert seen == []


async def test_a_callback_that_fails_does_not_undo_the_commit(note: Note) -> None:
    seen: list[str] = []

    async def fail() -> None:
        raise ConnectionError

    async def look() -> None:
        seen.append("followed")

    async with note.database.transaction() as tx:
        await tx.execute(note.write("new"))
        tx.after_commit(fail)
        tx.after_commit(look)

    assert await note.words() == "new"
    assert seen == ["followed"]


async def test_a_connection_lost_within_a_transaction_raises_an_error_and_is_replaced(
    note: Note, database: Database
) -> None:
    async def lose_it() -> None:
        async with note.database.transaction() as tx:
            await tx.execute(note.write("new"))
            await end_connection(database, await tx.fetchval("SELECT pg_backend_pid()"))
            await tx.execute(note.write("newer"))

    with pytest.raises(ServiceUnavailableError):
        await lose_it()

    assert await note.words() == "old"


async def test_a_pooled_connection_lost_while_idle_is_replaced_without_an_error(note: Note, database: Database) -> None:
    async with note.database.transaction() as tx:
        pid = await tx.fetchval("SELECT pg_backend_pid()")
    await end_connection(database, pid)

    assert await note.words() == "old"


async def test_a_server_that_is_away_raises_an_error(environment: dict[str, str]) -> None:
    nowhere = Database.open(settings_of(environment | {"DATABASE_URL": "postgresql://user:secret@127.0.0.1:1/none"}))

    with pytest.raises(ServiceUnavailableError) as refused:
        async with nowhere.transaction():
            pass

    assert refused.value.body()["error"]["message"] == "The service is temporarily unavailable"
    await nowhere.close()


async def test_nothing_stays_open_of_a_closed_pool(environment: dict[str, str]) -> None:
    settings = settings_of(environment)
    opened = Database.open(settings)
    is_inside, may_go_on = asyncio.Event(), asyncio.Event()

    async def stay() -> None:
        async with opened.transaction() as tx:
            is_inside.set()
            await may_go_on.wait()
            await tx.fetchval("SELECT 1")

    pids = [await opened.fetchval("SELECT pg_backend_pid()")]
    staying = asyncio.create_task(stay())
    await is_inside.wait()
    await opened.close()
    may_go_on.set()
    with pytest.raises(ServiceUnavailableError):
        await staying

    # A task that has not heard of it yet gets a connection, and it is not kept.
    pids.append(await opened.fetchval("SELECT pg_backend_pid()"))
    other = Database.open(settings, pool_size=1)

    async def are_gone() -> bool:
        return not await other.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)", pids)

    await until(are_gone)
    await other.close()


async def test_a_connection_that_cannot_be_set_up_is_closed(environment: dict[str, str]) -> None:
    # The server understands no such limit, which is only told once the connection is there.
    opened = Database.open(settings_of(environment), statement_seconds=1e9)

    with pytest.raises(DBAPIError):
        await opened.fetchval("SELECT 1")

    gc.collect()  # would find a connection that nobody has closed, which is an error
    await opened.close()


@pytest.mark.parametrize(
    "sqlstate",
    [
        pytest.param("57P03", id="starting up"),
        pytest.param("57P01", id="shutting down, or the main process is gone"),
        pytest.param("57P02", id="another backend has crashed"),
        pytest.param("53300", id="too many connections"),
    ],
)
async def test_a_server_that_is_not_ready_raises_an_error(environment: dict[str, str], sqlstate: str) -> None:
    async with unready_postgres(sqlstate) as url:
        starting = Database.open(settings_of(environment | {"DATABASE_URL": url}))

        with pytest.raises(ServiceUnavailableError):
            async with starting.transaction():
                pass

        await starting.close()


async def test_a_connection_that_the_server_closed_raises_an_error_and_is_replaced(
    environment: dict[str, str], database: Database
) -> None:
    async with slow_to_close(environment["DATABASE_URL"]) as url:
        opened = Database.open(settings_of(environment | {"DATABASE_URL": url, "DATABASE_POOL_SIZE": "1"}))
        async with opened.transaction() as tx:
            pid = await tx.fetchval("SELECT pg_backend_pid()")
        await end_connection(database, pid)

        with pytest.raises(ServiceUnavailableError):
            async with opened.transaction():
                pass
        async with opened.transaction() as tx:
            assert await tx.fetchval("SELECT pg_backend_pid()") != pid

    await opened.close()


@pytest.mark.parametrize("way", ["session", "driver"])
async def test_a_deadlock_raises_an_error_that_can_be_retried(database: Database, note: Note, way: str) -> None:
    other = f"other_{note.table}"
    async with note.database.transaction() as tx:
        await tx.execute(f"CREATE TABLE {other} AS SELECT 'old' AS words")
    both_have_one = asyncio.Barrier(2)

    async def write_both(first: str, second: str) -> None:
        async with database.transaction() as tx:
            for table in (first, second):
                statement = f"UPDATE {table} SET words = 'new'"
                await (tx.session.execute(text(statement)) if way == "session" else tx.execute(statement))
                if table == first:
                    await both_have_one.wait()

    crossing = (write_both(note.table, other), write_both(other, note.table))
    outcomes = await asyncio.gather(*crossing, return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {type(None), ServiceUnavailableError}
    async with note.database.transaction() as tx:
        await tx.execute(f"DROP TABLE {other}")


async def end_connection(database: Database, pid: int) -> None:
    """End a connection as a restart of Postgres does, and wait until the client has noticed."""
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
    await asyncio.sleep(0.05)
