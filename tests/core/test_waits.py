"""Every wait on Postgres ends, and tells that the same may succeed a little later."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress

import asyncpg
import pytest
from sqlalchemy import text

from app.core.database import Database, Transaction
from app.core.driver import LostTransactionError
from app.core.errors import OutdatedStatementError, ServiceUnavailableError
from app.core.keepalive import keep_alive
from app.core.shares import organization_var
from tests.core.notes import Note, open_note
from tests.core.postgres_away import over_unix_socket
from tests.core.sites import settings_of
from tests.frozen import frozen
from tests.patient import patient_transaction
from tests.waiting import until

Run = Callable[[Transaction, str], Awaitable[object]]

# Longer than any limit, and shorter than what a test waits for.
_FOR_EVER = 60


async def by_driver(tx: Transaction, statement: str) -> object:
    return await tx.fetch(statement)


async def by_session(tx: Transaction, statement: str) -> object:
    return (await tx.session.execute(text(statement))).all()


BOTH_WAYS = pytest.mark.parametrize("run", [by_driver, by_session])


@pytest.fixture
async def hasty(environment: dict[str, str]) -> AsyncIterator[Note]:
    """A note whose statements may take a fifth of a second, and the driver's wait two seconds more."""
    async with open_note(environment, statement_seconds=0.2) as opened:
        yield opened


async def refused(database: Database, run: Run, *statements: str) -> ServiceUnavailableError:
    """The error with which these statements in one transaction are refused."""

    async def try_it() -> None:
        async with asyncio.timeout(_FOR_EVER), database.transaction() as tx:
            for statement in statements:
                await run(tx, statement)

    with pytest.raises(ServiceUnavailableError) as found:
        await try_it()
    return found.value


_LIMITS = ("lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout")


async def test_every_transaction_has_limits(note: Note) -> None:
    async with note.database.transaction() as tx:
        # A query before this statement would make it fail: what begins the transaction must not be one.
        await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        limits = [await tx.fetchval(f"SHOW {name}") for name in _LIMITS]

    assert limits == ["2s", "5s", "10s"]


@BOTH_WAYS
async def test_a_wait_for_a_lock_ends(note: Note, database: Database, run: Run) -> None:
    async with patient_transaction(database) as tx:
        await tx.execute(f"LOCK TABLE {note.table}")
        error = await refused(note.database, run, f"SELECT words FROM {note.table}")

    assert error.retry_after == 1
    assert "lock timeout" in str(error.__cause__)
    assert await note.words() == "old"


@BOTH_WAYS
async def test_a_statement_that_takes_too_long_ends(hasty: Note, run: Run) -> None:
    pid = await hasty.backend()

    error = await refused(hasty.database, run, f"SELECT pg_sleep({_FOR_EVER})::text")

    assert (error.status, error.retry_after) == (503, 1)
    assert "statement timeout" in str(error.__cause__)
    assert await hasty.backend() == pid


async def test_a_report_may_take_longer(environment: dict[str, str]) -> None:
    async with open_note(environment, statement_seconds=3600) as note, note.database.transaction() as tx:
        assert await tx.fetchval("SHOW statement_timeout") == "1h"


async def test_a_transaction_in_which_nothing_happens_loses_its_locks(note: Note, database: Database) -> None:
    async def gone() -> bool:
        async with database.transaction() as tx:
            return not await tx.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid)

    async def sleep_within() -> None:
        async with note.database.transaction() as tx:
            await tx.execute(note.write("new"))
            await until(gone)
            await tx.execute(note.write("newer"))

    pid = await note.backend()
    with pytest.raises(ServiceUnavailableError):
        await sleep_within()

    assert await note.words() == "old"


@BOTH_WAYS
async def test_a_postgres_that_sleeps_is_given_up_and_its_connection_closed(hasty: Note, run: Run) -> None:
    pid = await hasty.backend()

    with frozen(pid):
        await refused(hasty.database, run, "SELECT 1")
        assert await hasty.words() == "old"

    assert await hasty.backend() != pid


@BOTH_WAYS
async def test_a_postgres_that_falls_asleep_within_a_transaction_is_given_up(hasty: Note, run: Run) -> None:
    async def fall_asleep() -> None:
        async with hasty.database.transaction() as tx:
            await tx.execute(hasty.write("new"))
            with frozen(await tx.fetchval("SELECT pg_backend_pid()")):
                await run(tx, "SELECT 1")

    with pytest.raises(ServiceUnavailableError):
        async with asyncio.timeout(_FOR_EVER):
            await fall_asleep()

    assert await hasty.words() == "old"


async def test_a_commit_without_a_response_is_unavailable_and_its_connection_is_closed(hasty: Note) -> None:
    pid = await hasty.backend()

    async def commit_frozen() -> None:
        with ExitStack() as stack:
            async with hasty.database.transaction() as tx:
                await tx.execute(hasty.write("new"))
                stack.enter_context(frozen(pid))

    with pytest.raises(ServiceUnavailableError):
        async with asyncio.timeout(_FOR_EVER):
            await commit_frozen()

    # The commit was sent before the connection was closed, and the database has it once it wakes up.
    async def is_new() -> bool:
        return await hasty.words() == "new"

    await until(is_new)
    assert await hasty.backend() != pid


async def test_a_statement_that_is_cancelled_leaves_a_usable_connection(note: Note) -> None:
    async def sleep() -> None:
        async with note.database.transaction() as tx:
            pids.append(await tx.fetchval("SELECT pg_backend_pid()"))
            await tx.execute(note.write("new"))
            await tx.fetchval("SELECT pg_sleep(5)::text")

    pids: list[int] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await sleep()

    assert await note.words() == "old"
    assert await note.backend() == pids[0]


async def test_a_transaction_that_goes_on_after_an_error_is_not_taken_for_committed(note: Note) -> None:
    seen: list[str] = []

    async def note_commit() -> None:
        seen.append("committed")

    async def ignore() -> None:
        async with note.database.transaction() as tx:
            tx.after_commit(note_commit)
            await tx.execute(note.write("new"))
            with suppress(asyncpg.DivisionByZeroError):  # what must not be done
                await tx.fetchval("SELECT 1 / 0")

    with pytest.raises(LostTransactionError):
        await ignore()

    assert await note.words() == "old"
    assert seen == []


async def test_a_full_pool_refuses(note: Note) -> None:
    async with patient_transaction(note.database):
        error = await refused(note.database, by_driver, "SELECT 1")

    assert error.retry_after == 1


async def test_an_organization_takes_half_of_the_pool(environment: dict[str, str]) -> None:
    both = asyncio.Event()

    async def stay(organization: str) -> None:
        organization_var.set(organization)
        async with note.database.transaction():
            running.append(organization)
            await both.wait()

    running: list[str] = []
    async with open_note(environment, pool_size=4) as note:
        greedy = [asyncio.create_task(stay("greedy")) for _ in range(8)]
        modest = [asyncio.create_task(stay("modest")) for _ in range(2)]

        async def has_both() -> bool:
            return len(running) == 4

        await until(has_both)
        assert sorted(running) == ["greedy"] * 2 + ["modest"] * 2
        both.set()
        await asyncio.gather(*greedy, *modest)

    assert len(running) == 10


@BOTH_WAYS
@pytest.mark.parametrize("earlier", [(), ("SELECT 2",)], ids=["first", "later"])
async def test_statements_are_prepared_anew_when_the_schema_has_changed(
    environment: dict[str, str], run: Run, earlier: tuple[str, ...]
) -> None:
    async with open_note(environment, pool_size=3) as note:
        statement = f"SELECT words FROM {note.table}"

        async def read(together: asyncio.Barrier) -> None:
            async with note.database.transaction() as tx:
                await together.wait()
                for before in (*earlier, statement):
                    await run(tx, before)

        async def read_on_all_connections() -> None:
            together = asyncio.Barrier(3)
            await asyncio.gather(*(read(together) for _ in range(3)))

        await read_on_all_connections()
        async with note.database.transaction() as tx:
            await tx.execute(f"ALTER TABLE {note.table} ALTER COLUMN words TYPE varchar(10)")

        with pytest.raises(OutdatedStatementError):
            await read(asyncio.Barrier(1))
        # It has failed once, and not once on each connection.
        await read_on_all_connections()


def test_both_sides_of_a_connection_notice_that_the_other_one_is_gone() -> None:
    with socket.socket(socket.AF_INET) as tcp:
        keep_alive(tcp)
        assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000


async def test_the_pool_s_connections_are_kept_alive(note: Note) -> None:
    async with note.database.transaction() as tx:
        ours = tx._driver._transport.get_extra_info("socket")  # type: ignore[attr-defined] # as in app.core.driver
        theirs = [await tx.fetchval(f"SHOW {name}") for name in ("tcp_keepalives_idle", "tcp_user_timeout")]

    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
    assert theirs == ["10", "20000"]


async def test_a_unix_socket_works_too(environment: dict[str, str]) -> None:
    async with over_unix_socket(environment["DATABASE_URL"]) as url:
        opened = Database.open(settings_of(environment | {"DATABASE_URL": url}))
        async with opened.transaction() as tx:
            assert await tx.fetchval("SELECT 1") == 1
        await opened.close()
