"""Responses with an Idempotency-Key run once, whichever form they are asked for in."""

import asyncio
import secrets

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.books import books_of, charged, cost_of
from tests.chat.responses.asking import MODEL, RESPONSES, WEATHER, stream
from tests.chat.responses.background import events_of, have_model, resumed
from tests.chat.responses.grammar import read_stream
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization


@pytest.fixture(scope="module")
async def host(database: Database) -> Organization:
    return await make_host(database)


async def test_a_repeated_request_gets_the_same_response(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    headers = {**host.headers, "Idempotency-Key": secrets.token_hex(8)}
    body = {"model": MODEL, "input": "get weather", "tools": [WEATHER]}

    first = await http.post(RESPONSES, json=body, headers=headers)
    second = await http.post(RESPONSES, json=body, headers=headers)

    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert len(upstream.calls()) == 1


async def test_a_repeated_stream_says_the_same(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    words = 'first say "one moment", then get weather'

    first = await stream(http, host, words, headers=headers, tools=[WEATHER])
    second = await stream(http, host, words, headers=headers, tools=[WEATHER])

    assert first.response == second.response
    assert first.text == second.text == "one moment"
    assert len(upstream.calls()) == 1


async def test_a_stream_goes_on_without_its_client_and_is_read_again(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--slow-1")
    body = {"model": MODEL, "input": "count to 12", "stream": True}
    headers = {**host.headers, "Idempotency-Key": secrets.token_hex(8)}
    seen = b""
    async with http.stream("POST", RESPONSES, json=body, headers=headers) as response:
        async for piece in response.aiter_raw():
            seen += piece
            if b'"2 "' in seen:
                break
    response_id = f"resp_{seen.split(b'resp_', 1)[1][:16].decode()}"

    repeated, resumed_ = await asyncio.gather(
        http.post(RESPONSES, json=body, headers=headers), resumed(http, host, response_id, 1)
    )

    streamed = read_stream(repeated, repeated.content)
    assert repeated.headers["idempotent-replayed"] == "true"
    assert (streamed.text, streamed.response["id"]) == (" ".join(map(str, range(1, 13))), response_id)
    assert streamed.response["background"] is False
    assert events_of(resumed_.content) == events_of(repeated.content)[2:]
    cancelled = await http.post(f"{RESPONSES}/{response_id}/cancel", headers=host.headers)
    assert cancelled.status_code == 400
    assert await books_of(database, host) == charged(cost_of([upstream.calls()[0]["usage"]]))


async def test_one_that_has_failed_runs_again(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    for fault, has_begun in (("status-402", False), ("error-frame-2", True)):
        host = await make_host(database, f"sim-chat--{fault}")
        body = {"model": MODEL, "input": "count to 4", "stream": True}
        headers = {**host.headers, "Idempotency-Key": secrets.token_hex(8)}
        failed = await http.post(RESPONSES, json=body, headers=headers)
        await have_model(database, host, "sim-chat")

        again = await http.post(RESPONSES, json=body, headers=headers)
        repeated = await http.post(RESPONSES, json=body, headers=headers)

        assert (failed.status_code == 200, b"response.failed" in failed.content) == (has_begun, has_begun)
        streamed = read_stream(again, again.content)
        assert streamed.text == "1 2 3 4"
        assert "idempotent-replayed" not in again.headers
        assert events_of(repeated.content) == events_of(again.content)


async def test_a_chat_with_the_same_key_is_another_request(http: httpx.AsyncClient, host: Organization) -> None:
    headers = {**host.headers, "Idempotency-Key": secrets.token_hex(8)}
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}

    first = await http.post(RESPONSES, json={"model": MODEL, "input": "Hello"}, headers=headers)
    second = await http.post("/v1/chat/completions", json=chat, headers=headers)

    assert (first.json()["object"], second.json()["object"]) == ("response", "chat.completion")
