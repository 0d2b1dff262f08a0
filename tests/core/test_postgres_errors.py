"""What each kind of Postgres's errors means: run again (503), or a defect (500)."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text

from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from app.core.postgres_errors import explain, is_away, is_outdated, is_read_only, is_refused
from tests.core.notes import Note, open_note
from tests.core.sites import create_database, settings_of

AGAIN = {
    "08000": "connection_exception",
    "08003": "connection_does_not_exist",
    "08006": "connection_failure",
    "08P01": "protocol_violation, with which poolers refuse",
    "25006": "read_only_sql_transaction",
    "25P03": "idle_in_transaction_session_timeout",
    "28000": "invalid_authorization_specification",
    "28P01": "invalid_password",
    "3D000": "invalid_catalog_name",
    "3F000": "invalid_schema_name",
    "40001": "serialization_failure",
    "40003": "statement_completion_unknown",
    "40P01": "deadlock_detected",
    "42501": "insufficient_privilege",
    "42703": "undefined_column",
    "42P01": "undefined_table",
    "53000": "insufficient_resources",
    "53100": "disk_full",
    "53200": "out_of_memory",
    "53300": "too_many_connections",
    "53400": "configuration_limit_exceeded",
    "55006": "object_in_use",
    "55P03": "lock_not_available",
    "57014": "query_canceled, as by statement_timeout",
    "57P01": "admin_shutdown",
    "57P02": "crash_shutdown",
    "57P03": "cannot_connect_now",
    "57P04": "database_dropped",
    "57P05": "idle_session_timeout",
    "58000": "system_error",
    "58030": "io_error",
    "58P01": "undefined_file",
    "72000": "snapshot_too_old",
    "XX000": "internal_error",
}
PREPARED_AGAIN = {"26000": "invalid_sql_statement_name", "42P05": "duplicate_prepared_statement"}
DEFECTS = {
    "22001": "string_data_right_truncation",
    "22003": "numeric_value_out_of_range",
    "22P02": "invalid_text_representation",
    "23502": "not_null_violation",
    "23505": "unique_violation",
    "23514": "check_violation",
    "25P02": "in_failed_sql_transaction",
    "42601": "syntax_error",
    "42883": "undefined_function",
    "54000": "program_limit_exceeded",
    "P0001": "raise_exception",
    "XX001": "data_corrupted",
    "XX002": "index_corrupted",
}


def error(sqlstate: str, message: str = "something") -> asyncpg.PostgresError:
    made: asyncpg.PostgresError = asyncpg.PostgresError.new({"C": sqlstate, "M": message})
    return made


@pytest.mark.parametrize("sqlstate", AGAIN)
def test_what_may_be_gone_a_little_later_is_away(sqlstate: str) -> None:
    assert is_away(error(sqlstate))
    assert not is_outdated(error(sqlstate))


@pytest.mark.parametrize("sqlstate", PREPARED_AGAIN)
def test_a_statement_that_the_session_does_not_know_is_prepared_again(sqlstate: str) -> None:
    assert is_outdated(error(sqlstate))
    assert "DATABASE_POOLER=transaction" in explain(error(sqlstate))


@pytest.mark.parametrize("sqlstate", DEFECTS)
def test_what_running_again_cannot_help_is_a_defect(sqlstate: str) -> None:
    assert not is_away(error(sqlstate))
    assert not is_outdated(error(sqlstate))


@pytest.mark.parametrize(
    ("message", "grant"),
    [
        ("permission denied for table holds", "GRANT SELECT, INSERT, UPDATE, DELETE ON holds TO"),
        ("permission denied for schema public", "GRANT USAGE, CREATE ON SCHEMA public TO"),
        ("permission denied for sequence content_id_seq", "GRANT USAGE ON SEQUENCE content_id_seq TO"),
        ("permission denied for database junis", "GRANT CONNECT, CREATE ON DATABASE junis TO"),
        ("must be owner of table holds", "Run `junis migrate` as the owner of the tables"),
    ],
)
def test_what_must_be_granted_is_named(message: str, grant: str) -> None:
    assert is_refused(error("42501"))
    assert explain(error("42501", message)).startswith("The role of DATABASE_URL lacks a privilege: ")
    assert grant in explain(error("42501", message))


@pytest.fixture
async def note(environment: dict[str, str]) -> AsyncIterator[Note]:
    async with open_note(environment) as opened:
        yield opened


@pytest.mark.parametrize("way", ["session", "driver"])
@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "53100", "53200", "55P03", "57014", "57P01", "58030", "XX000"])
async def test_a_transaction_that_meets_it_is_unavailable_and_may_be_repeated(
    note: Note, sqlstate: str, way: str
) -> None:
    statement = f"DO $$ BEGIN RAISE EXCEPTION 'something' USING ERRCODE = '{sqlstate}'; END $$"

    async def meet_it() -> None:
        async with note.database.transaction() as tx:
            await tx.execute(note.write("new"))
            await (tx.session.execute(text(statement)) if way == "session" else tx.execute(statement))

    with pytest.raises(ServiceUnavailableError) as refused:
        await meet_it()

    assert refused.value.headers() == {"Retry-After": "1"}
    assert await note.words() == "old"


async def test_the_pool_leaves_a_server_that_takes_no_writes(environment: dict[str, str]) -> None:
    site = environment | {"DATABASE_URL": await create_database(environment["DATABASE_URL"])}
    async with open_note(site, pool_size=3) as note:
        async with note.database.transaction() as tx:
            name = await tx.fetchval("SELECT current_database()")
            await tx.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        demoted = Database.open(settings_of(site), pool_size=3)
        async with demoted.transaction() as first, demoted.transaction() as second:
            assert await first.fetchval("SHOW transaction_read_only") == "on"
            assert await second.fetchval("SHOW transaction_read_only") == "on"
        async with note.database.transaction() as tx:
            # From now on the address leads to one that takes writes.
            await tx.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")

        with pytest.raises(ServiceUnavailableError) as refused:
            async with demoted.transaction() as tx:
                await tx.execute(note.write("new"))
        async with demoted.transaction() as first, demoted.transaction() as second:
            await first.execute(note.write("newer"))
            assert await second.fetchval("SHOW transaction_read_only") == "off"
        await demoted.close()

        assert refused.value.__cause__
        assert is_read_only(refused.value.__cause__)
        assert await note.words() == "newer"
