"""Responses in the background whose process is killed, asleep or stopped: each ends once, and is charged once."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import open_http
from tests.chat.books import Books, books_of, closed_books_of, cost_of, estimate_of
from tests.chat.responses.asking import text_of
from tests.chat.responses.background import (
    accepted,
    begun_stream,
    ended,
    events_of,
    have_model,
    let_leases_run_out,
    resumed,
    shown,
)
from tests.chat.responses.grammar import read_stream
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.faults.books import faults_of
from tests.frozen import frozen
from tests.programs import Api, api_process, running_apis
from tests.sessions.reading import messages_of

WORDS = "count to 4"
_RUN = "SELECT status, response, lease_until FROM response_runs WHERE id = $1"
# What keeps a response from beginning again.
_CHANGES = (
    "UPDATE api_keys SET revoked_at = now() WHERE organization_id = $1",
    "UPDATE api_keys SET scopes = '{content:read}' WHERE organization_id = $1",
    "UPDATE organizations SET subscription_status = 'inactive' WHERE id = $1",
    "UPDATE agents SET is_active = false WHERE organization_id = $1",
    "UPDATE response_runs SET attempt = 5 WHERE organization_id = $1",
)


@asynccontextmanager
async def doomed_api(stack: Stack, **settings: str) -> AsyncIterator[tuple[Api, httpx.AsyncClient]]:
    """An API that does not live long."""
    log = stack.folder / f"doomed-{secrets.token_hex(4)}.log"
    async with (
        running_apis(api_process({**stack.environment, **settings}, log)) as (api,),
        open_http(api.url) as http,
    ):
        yield api, http


@pytest.mark.parametrize(("is_streamed", "has_key"), [(True, False), (False, False), (True, True)])
async def test_one_that_has_said_nothing_begins_again(
    stack: Stack, http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool, has_key: bool
) -> None:
    host = await make_host(database, "sim-chat--stall-0")
    async with doomed_api(stack) as (api, doomed):
        if is_streamed:
            response_id = await begun_stream(doomed, host, WORDS, key=secrets.token_hex(8) if has_key else None)
        else:
            response_id = (await accepted(doomed, host, WORDS))["id"]
        await upstream.begun()
        before = await shown(http, host, response_id)
        api.kill()
    await have_model(database, host, "sim-chat")

    await let_leases_run_out(database, host)
    response = await ended(http, host, response_id)

    assert (response["status"], text_of(response)) == ("completed", "1 2 3 4")
    same = ("id", "created_at", "session_id", "model")
    assert [response[name] for name in same] == [before[name] for name in same]
    books = await closed_books_of(database, host)
    assert books == Books([cost_of([upstream.calls()[-1]["usage"]])], [False], ["voided", "settled"])
    assert await faults_of(database, host) == []
    assert await messages_of(http, host, response["session_id"]) == [("user", WORDS), ("assistant", "1 2 3 4")]
    if is_streamed:
        stream = await resumed(http, host, response_id)
        assert read_stream(stream, stream.content).response == response


async def test_one_that_has_said_something_fails_and_costs_that(
    stack: Stack, http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-2")
    async with doomed_api(stack) as (api, doomed):
        response_id = await begun_stream(doomed, host, WORDS, until=b'"2 "')
        seen = events_of(await _cut(http, host, response_id))
        api.kill()

    await let_leases_run_out(database, host)
    stream = await resumed(http, host, response_id)

    streamed = read_stream(stream, stream.content)
    assert events_of(stream.content)[: len(seen)] == seen
    assert streamed.types[-2:] == ["error", "response.failed"]
    assert (streamed.text, streamed.response) == ("1 2 ", await shown(http, host, response_id))
    cost = estimate_of(upstream.requests()[0], "1 2 ")
    assert await closed_books_of(database, host) == Books([cost], [True], ["settled"])
    assert await faults_of(database, host) == []
    assert len(upstream.calls()) == 1


async def _cut(http: httpx.AsyncClient, host: Any, response_id: str) -> bytes:
    """The events of a response up to its second word."""
    raw = b""
    query = {"stream": "true"}
    async with http.stream("GET", f"/v1/responses/{response_id}", params=query, headers=host.headers) as response:
        async for piece in response.aiter_raw():
            raw += piece
            if b'"2 "' in raw:
                break
    return raw


@pytest.mark.parametrize("has_spoken", [True, False])
async def test_a_process_that_wakes_up_changes_nothing_any_more(
    stack: Stack, http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, has_spoken: bool
) -> None:
    host = await make_host(database, "sim-chat--slow-300" if has_spoken else "sim-chat--stall-0")
    async with doomed_api(stack) as (api, asleep):
        response_id = await begun_stream(asleep, host, WORDS, until=b'"1 "' if has_spoken else b"")
        await upstream.begun()
        with frozen(api.process.pid):
            await have_model(database, host, "sim-chat")
            await let_leases_run_out(database, host)
            response = await ended(http, host, response_id)
            books = await closed_books_of(database, host)
            stream = await resumed(http, host, response_id)
        # It notices, within a second, and ends its turn.
        await upstream.ended(count=1)
        await asyncio.sleep(2)

        assert response["status"] == ("failed" if has_spoken else "completed")
        assert await shown(http, host, response_id) == response
        assert (await resumed(http, host, response_id)).content == stream.content
        assert await books_of(database, host) == books
    assert len(books.charges) == 1
    assert await faults_of(database, host) == []


async def test_one_that_has_said_nothing_is_handed_on_when_its_process_stops(
    stack: Stack, http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-0")
    async with doomed_api(stack, SHUTDOWN_GRACE_SECONDS="0.2") as (api, doomed):
        response_id = (await accepted(doomed, host, WORDS))["id"]
        await upstream.begun()
        await have_model(database, host, "sim-chat")
        api.process.terminate()
        await asyncio.to_thread(api.process.wait)

    # Nobody waits for a lease.
    response = await ended(http, host, response_id)

    assert (response["status"], text_of(response)) == ("completed", "1 2 3 4")
    assert (await closed_books_of(database, host)).holds == ["voided", "settled"]
    assert len((await books_of(database, host)).charges) == 1


async def test_one_that_has_said_something_fails_when_its_process_stops(
    stack: Stack, http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-2")
    async with doomed_api(stack, SHUTDOWN_GRACE_SECONDS="0.2") as (api, doomed):
        response_id = await begun_stream(doomed, host, WORDS, until=b'"2 "')
        api.process.terminate()
        await asyncio.to_thread(api.process.wait)

    response = await shown(http, host, response_id)

    assert response["status"] == "failed"
    cost = estimate_of(upstream.requests()[0], "1 2 ")
    assert await books_of(database, host) == Books([cost], [True], ["settled"])
    assert await messages_of(http, host, response["session_id"]) == [("user", WORDS), ("assistant", "1 2 ")]


async def test_those_that_may_not_run_any_more_fail_and_cost_nothing(
    stack: Stack, database: Database, upstream: UpstreamLog
) -> None:
    hosts = [await make_host(database, "sim-chat--stall-0") for _ in _CHANGES]
    async with doomed_api(stack) as (api, doomed):
        ids = [(await accepted(doomed, host, WORDS))["id"] for host in hosts]
        await upstream.begun(len(hosts))
        api.kill()
    async with database.transaction() as tx:
        for change, host in zip(_CHANGES, hosts, strict=True):
            await tx.execute(change, host.id)

    for host, response_id in zip(hosts, ids, strict=True):
        await let_leases_run_out(database, host)
        books = await closed_books_of(database, host)
        async with database.transaction() as tx:
            row = await tx.fetchrow(
                "SELECT status, response, lease_until FROM response_runs WHERE id = $1", response_id
            )
        assert row is not None
        assert (row["status"], row["response"]["error"]["code"], row["lease_until"]) == ("failed", "server_error", None)
        assert not books.charges
        assert books.held == 0
    assert len(upstream.calls()) == len(hosts)


async def test_one_that_was_cancelled_while_nobody_ran_it_is_charged(
    stack: Stack, http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-2")
    async with doomed_api(stack) as (api, doomed):
        response_id = await begun_stream(doomed, host, WORDS, until=b'"2 "')
        api.kill()
    cancelled = await http.post(f"/v1/responses/{response_id}/cancel", headers=host.headers)

    await let_leases_run_out(database, host)

    cost = estimate_of(upstream.requests()[0], "1 2 ")
    assert await closed_books_of(database, host) == Books([cost], [True], ["settled"])
    assert await shown(http, host, response_id) == cancelled.json()
    assert cancelled.json()["status"] == "cancelled"
