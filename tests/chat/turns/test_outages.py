"""Turns whose answers end while Postgres is away: nothing that was delivered is free, and clients are told.

`FULL=1` ends fifty of them during an outage of 30 s. Otherwise a few, and the outage ends once the clients are told.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.core.database import Database
from tests.agents.definitions import agent, container, make_host, make_team, price_chat_models
from tests.chat.asking import CHAT, OpenStream, ask, conversation, opened_stream, user
from tests.chat.books import books_of, charged, closed_books_of, cost_of
from tests.chat.cut_off_api import CutOffApi, cut_off_api
from tests.chat.gate import BEGINNING, ENDING, USAGE
from tests.chat.leaving import is_free
from tests.chat.openai.grammar import read_stream
from tests.chat.turns.rows import let_holds_expire, rows_of
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.factories import Organization
from tests.sessions.reading import messages_of
from tests.waiting import until

_IS_FULL = os.environ.get("FULL") == "1"
STREAMS = 50 if _IS_FULL else 5
OUTAGE_SECONDS = 30.0 if _IS_FULL else 0.0


@pytest.fixture
async def far(stack: Stack) -> AsyncIterator[CutOffApi]:
    async with cut_off_api(stack, f"far-{secrets.token_hex(4)}") as running:
        yield running


async def make_gated(database: Database) -> Organization:
    """An organization whose model ends its answers when the test says."""
    host = await make_host(database, "gated")
    await price_chat_models(database, "gated", upstream="gate")
    return host


async def begin(opened: AsyncExitStack, far: CutOffApi, host: Organization, **body: Any) -> OpenStream:
    """A stream that has begun its answer."""
    streaming = await opened.enter_async_context(opened_stream(far.http, host, "Hello", **body))
    await streaming.read(until=BEGINNING.encode())
    return streaming


def check_told(streaming: OpenStream) -> None:
    """Check that the whole answer was delivered, and that the client was told that it is not stored."""
    streamed = read_stream(streaming.response, streaming.raw)
    assert streamed.text == BEGINNING + ENDING
    assert streamed.error is not None
    assert streamed.error["code"] == "service_unavailable"


async def test_delivered_answers_are_charged_and_stored_once_postgres_is_back(
    far: CutOffApi, http: httpx.AsyncClient, database: Database, redis: Redis
) -> None:
    host = await make_gated(database)
    async with AsyncExitStack() as opened:
        streams = [await begin(opened, far, host, **conversation(f"our-{number}")) for number in range(STREAMS)]

        far.postgres.cut()
        cut_at = monotonic()
        far.gate.is_open.set()
        await asyncio.gather(*(streaming.read() for streaming in streams))

        for streaming in streams:
            check_told(streaming)
        # Their requests have ended, though their holds are still open.
        await until(lambda: is_free(redis, host))
        assert (await books_of(database, host)).holds == ["open"] * STREAMS
        await asyncio.sleep(cut_at + OUTAGE_SECONDS - monotonic())
        far.postgres.mend()

        assert await closed_books_of(database, host) == charged(*[cost_of([USAGE])] * STREAMS)
    for number in range(STREAMS):
        assert await messages_of(http, host, f"our-{number}") == [("user", "Hello"), ("assistant", BEGINNING + ENDING)]
    assert (await rows_of(database, host)).lost_calls == 0


async def test_a_repeat_with_the_same_key_gets_the_answer_that_was_stored_late(
    far: CutOffApi, http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database)
    headers = {**host.headers, "Idempotency-Key": secrets.token_hex(8)}
    body = {"messages": [user("count to 2")]}
    far.chat_models.hold_next()
    asking = asyncio.create_task(far.http.post(CHAT, json=body, headers=headers))
    await far.chat_models.wait_until_held()

    far.postgres.cut()
    far.chat_models.let_pass()
    told = await asking
    far.postgres.mend()
    await closed_books_of(database, host)
    repeated = await http.post(CHAT, json=body, headers=headers)

    assert (told.status_code, told.json()["error"]["code"]) == (503, "service_unavailable")
    assert told.headers["x-should-retry"] == "false"
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert repeated.json()["choices"][0]["message"]["content"] == "1 2"
    (call,) = upstream.calls()
    assert await books_of(database, host) == charged(cost_of([call["usage"]]))


async def test_a_crash_during_the_outage_loses_at_most_the_call_since_the_last_one_was_opened(
    far: CutOffApi, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, container("SEQUENTIAL", "first", "last"), agent("first"), agent("last", "gated"))
    await price_chat_models(database, "gated", upstream="gate")
    async with AsyncExitStack() as opened:
        streaming = await begin(opened, far, team)
        far.postgres.cut()
        far.gate.is_open.set()
        await streaming.read(until=ENDING.encode())
        far.api.kill()
    await let_holds_expire(database, team)

    (call,) = upstream.calls()
    assert await books_of(database, team) == charged(cost_of([call["usage"]]))
    rows = await rows_of(database, team)
    assert [event["model"] for event in rows.events] == ["first-model"]
    assert rows.holds[0]["calls_opened"] == 2
    assert rows.lost_calls == 1


async def test_a_process_that_stops_during_the_outage_says_what_it_could_not_settle(
    stack: Stack, database: Database
) -> None:
    host = await make_gated(database)
    async with (
        cut_off_api(stack, f"stopping-{secrets.token_hex(4)}", SHUTDOWN_GRACE_SECONDS="0.2") as stopping,
        AsyncExitStack() as opened,
    ):
        streaming = await begin(opened, stopping, host)
        stopping.postgres.cut()
        stopping.gate.is_open.set()
        await streaming.read(until=ENDING.encode())
        stopping.api.process.terminate()
        await streaming.read()
        await asyncio.to_thread(stopping.api.process.wait)

        check_told(streaming)
        (event,) = stopping.events("turn_not_settled")
    hold = (await rows_of(database, host)).holds[0]
    assert event["reference"] == hold["reference"]
    assert event["cost"] == str(cost_of([USAGE]))
    assert (event["level"], hold["state"]) == ("error", "open")


async def test_a_refused_request_is_not_charged_for_an_outage(far: CutOffApi, database: Database) -> None:
    host = await make_host(database)
    far.postgres.cut()

    response = await ask(far.http, host, "Hello")

    assert response.status_code == 503
    far.postgres.mend()
    assert (await books_of(database, host)).holds == []
