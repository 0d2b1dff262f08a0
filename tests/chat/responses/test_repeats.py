"""Responses with an Idempotency-Key run once, whichever form they are asked for in."""

import secrets

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.responses.asking import MODEL, RESPONSES, WEATHER, stream
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


async def test_a_chat_with_the_same_key_is_another_request(http: httpx.AsyncClient, host: Organization) -> None:
    headers = {**host.headers, "Idempotency-Key": secrets.token_hex(8)}
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}

    first = await http.post(RESPONSES, json={"model": MODEL, "input": "Hello"}, headers=headers)
    second = await http.post("/v1/chat/completions", json=chat, headers=headers)

    assert (first.json()["object"], second.json()["object"]) == ("response", "chat.completion")
