"""The product behind a pooler that gives each transaction another session."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.database import Database, Transaction
from app.core.errors import ServiceUnavailableError
from app.core.notifications import NotificationListener, listening
from tests import factories
from tests.chat.asking import ask, open_http
from tests.core.sites import settings_of
from tests.programs import api_process, running_apis
from tests.waiting import PATIENCE, until

_AT_ONCE = 24


@pytest.fixture
async def database(site: dict[str, str]) -> AsyncIterator[Database]:
    opened = Database.open(settings_of(site))
    yield opened
    await opened.close()


async def use(tx: Transaction, number: int) -> None:
    """A few statements of both kinds, of which no two transactions have the same."""
    for step in range(3):
        assert await tx.fetchval(f"SELECT $1::int + {number}", step) == step + number
        row = await tx.session.execute(text(f"SELECT :step + {number}, '{{}}'::jsonb"), {"step": step})
        assert row.one() == (step + number, {})
    await tx.execute("SELECT pg_advisory_xact_lock($1)", number % 3)


async def test_statements_are_found_in_whichever_session_a_transaction_gets(database: Database) -> None:
    sessions = set()

    async def run(number: int) -> None:
        async with database.transaction() as tx:
            sessions.add(await tx.fetchval("SELECT pg_backend_pid()"))
            await use(tx, number)

    for _ in range(3):
        await asyncio.gather(*(run(number) for number in range(_AT_ONCE)))

    assert len(sessions) > 1


async def test_limits_end_with_their_transaction(database: Database) -> None:
    async with database.transaction() as tx:
        assert await tx.fetchval("SHOW lock_timeout") == "2s"

    async with database.transaction() as tx:
        await tx.execute("RESET lock_timeout")
        assert await tx.fetchval("SHOW lock_timeout") == "0"
        assert await tx.fetchval("SHOW timezone") == "UTC"


async def test_a_pooler_that_nobody_told_of_is_named(site: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    untold = Database.open(settings_of(site | {"DATABASE_POOLER": "none"}))

    async def run(number: int) -> None:
        async with untold.transaction() as tx:
            await use(tx, number)

    results = [
        result
        for _ in range(5)
        for result in await asyncio.gather(*(run(number) for number in range(_AT_ONCE)), return_exceptions=True)
    ]
    await untold.close()

    failures = [result for result in results if result is not None]
    assert failures
    assert all(isinstance(failure, ServiceUnavailableError) and failure.retryable for failure in failures)
    assert await is_told(caplog)


async def test_a_listener_that_hears_nothing_through_the_pooler_proves_nothing(
    site: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Or a key that is revoked would be valid for ever."""
    through = settings_of(site).database

    async with listening(through, {"junis_callers": lambda: None}) as listener:
        await until(lambda: is_told(caplog))
        assert listener.complete_until() == float("-inf")


async def is_told(caplog: pytest.LogCaptureFixture) -> bool:
    reasons = [str(record.__dict__.get("reason")) for record in caplog.records]
    return any("set DATABASE_POOLER=transaction" in reason for reason in reasons)


async def test_beside_the_pooler_a_listener_hears_what_is_notified_through_it(
    site: dict[str, str], database: Database
) -> None:
    heard = asyncio.Event()
    async with listening(settings_of(site).direct_database, {"junis_callers": heard.set}) as listener:
        await asyncio.wait_for(heard.wait(), PATIENCE)
        heard.clear()
        async with database.transaction() as tx:
            await tx.execute("NOTIFY junis_callers")

        await asyncio.wait_for(heard.wait(), PATIENCE)
        await until(lambda: proves(listener))


async def proves(listener: NotificationListener) -> bool:
    return listener.complete_until() > float("-inf")


if os.environ.get("FULL"):

    async def test_the_api_answers_and_hears_of_a_revoked_key(
        site: dict[str, str], database: Database, run_folder: Path
    ) -> None:
        organization = await factories.make_organization(database)
        async with (
            running_apis(api_process(site, run_folder / "pooled-api.log")) as (api,),
            open_http(api.url) as http,
        ):
            answers = await asyncio.gather(*(ask(http, organization, "Hello") for _ in range(_AT_ONCE)))
            paths = ("/credits", "/agents", "/sessions", "/content", "/v1/models")
            reads = await asyncio.gather(*(http.get(path, headers=organization.headers) for path in paths * 4))
            async with database.transaction() as tx:
                await tx.execute("UPDATE api_keys SET revoked_at = now() WHERE organization_id = $1", organization.id)

            async def is_refused() -> bool:
                return (await http.get("/credits", headers=organization.headers)).status_code == 401

            async with asyncio.timeout(PATIENCE):
                await until(is_refused)

        statuses = {response.status_code for response in (*answers, *reads)}
        assert statuses == {200}
