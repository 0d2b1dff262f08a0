"""Two turns on one session at the same time."""

import asyncio
from time import monotonic

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, ask, conversation, opened_stream, text_of
from tests.chat.books import closed_books_of
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.sessions.reading import messages_of


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database)


@pytest.fixture
async def stalling_host(database: Database) -> Organization:
    """An organization whose first turn hangs after one word. Tests then switch it to a model that works."""
    return await make_host(database, "sim-chat--stall-1")


async def use_working_model(database: Database, host: Organization) -> None:
    async with database.transaction() as tx:
        await tx.execute("UPDATE agents SET model = 'sim-chat' WHERE organization_id = $1", host.id)


async def test_the_second_turn_waits_for_the_first(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--slow-0.5")

    answers = await asyncio.gather(
        *(answer_of(http, host, f"count to {number}", **conversation("ours")) for number in (2, 3))
    )

    assert sorted(text_of(answer) for answer in answers) == ["1 2", "1 2 3"]
    first, second = upstream.calls()
    assert first["ended_at"] < second["at"]
    assert len(second["request"]["messages"]) == 3


async def test_a_turn_that_waits_too_long_is_refused_and_starts_nothing(
    http: httpx.AsyncClient, stalling_host: Organization, upstream: UpstreamLog
) -> None:
    async with opened_stream(http, stalling_host, "count to 2", **conversation("ours")) as opened:
        await opened.read(until=b'"1 "')
        asked_at = monotonic()
        refused = await ask(http, stalling_host, "count to 2", session_id="ours")

    assert refused.status_code == 409
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "session_busy")
    assert refused.headers["retry-after"] == "1"
    assert "x-should-retry" not in refused.headers
    assert monotonic() - asked_at > 4.9
    assert len(upstream.calls()) == 1


async def test_other_sessions_are_not_busy(
    http: httpx.AsyncClient, database: Database, stalling_host: Organization
) -> None:
    async with opened_stream(http, stalling_host, "count to 2", **conversation("ours")) as opened:
        await opened.read(until=b'"1 "')
        await use_working_model(database, stalling_host)
        other = await answer_of(http, stalling_host, "count to 3", **conversation("another"))

    assert text_of(other) == "1 2 3"


async def test_a_session_whose_turn_died_is_taken_over_when_its_lease_ends(
    http: httpx.AsyncClient, database: Database, stalling_host: Organization
) -> None:
    async with opened_stream(http, stalling_host, "count to 2", **conversation("ours")) as opened:
        await opened.read(until=b'"1 "')
        await use_working_model(database, stalling_host)
        async with database.transaction() as tx:
            await tx.execute(
                "UPDATE sessions SET turn_lease_until = now() WHERE organization_id = $1", stalling_host.id
            )
        answer = await answer_of(http, stalling_host, "count to 3", session_id="ours")
        assert await messages_of(http, stalling_host, "ours") == [("user", "count to 3"), ("assistant", "1 2 3")]

    assert text_of(answer) == "1 2 3"


async def test_a_turn_that_lost_its_session_is_charged_and_stores_nothing(
    http: httpx.AsyncClient, database: Database, stalling_host: Organization
) -> None:
    async with opened_stream(http, stalling_host, "count to 2", **conversation("ours")) as opened:
        await opened.read(until=b'"1 "')
        async with database.transaction() as tx:
            await tx.execute("UPDATE sessions SET turn_id = 'another' WHERE organization_id = $1", stalling_host.id)

    assert (await closed_books_of(database, stalling_host)).holds == ["settled"]
    assert await messages_of(http, stalling_host, "ours") == []
    async with database.transaction() as tx:
        turn_id = await tx.fetchval("SELECT turn_id FROM sessions WHERE organization_id = $1", stalling_host.id)
    assert turn_id == "another"
