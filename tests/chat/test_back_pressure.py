"""Clients that read slowly or not at all: the model cannot run far ahead of them."""

import secrets

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host, price_chat_models
from tests.chat.asking import CHAT, opened_stream, user
from tests.chat.books import books_of, charged, closed_books_of, cost_of
from tests.chat.conftest import HeldApi
from tests.chat.flood import DELTA, DELTAS, USAGE, Flood
from tests.chat.openai.grammar import read_stream
from tests.factories import Organization


@pytest.fixture
async def host(database: Database, flood: Flood) -> Organization:
    flood.sent = 0
    host = await make_host(database, "flood")
    await price_chat_models(database, "flood", upstream="flood")
    return host


async def test_the_model_waits_for_a_client_that_does_not_read(
    held: HeldApi, flood: Flood, host: Organization, database: Database
) -> None:
    async with opened_stream(held.http, host, "Say very much") as opened:
        waiting = await flood.until_still()
        raw = b"".join([piece async for piece in opened.response.aiter_raw()])

    assert waiting < DELTAS
    streamed = read_stream(opened.response, raw)
    assert streamed.text == DELTA * DELTAS
    assert streamed.finish_reason == "stop"
    assert await books_of(database, host) == charged(cost_of([USAGE]))


async def test_the_model_call_ends_if_its_slow_client_leaves(
    held: HeldApi, flood: Flood, host: Organization, database: Database
) -> None:
    async with opened_stream(held.http, host, "Say very much"):
        await flood.until_still()

    books = await closed_books_of(database, host)
    assert (books.holds, books.estimated) == (["settled"], [True])
    assert flood.sent < DELTAS


async def test_with_an_idempotency_key_the_model_call_goes_on_after_the_client_leaves(
    held: HeldApi, flood: Flood, host: Organization, database: Database
) -> None:
    key, body = {"Idempotency-Key": secrets.token_hex(8)}, {"messages": [user("Say very much")], "stream": True}
    headers = {**host.headers, **key}
    async with held.http.stream("POST", CHAT, json=body, headers=headers):
        waiting = await flood.until_still()

    assert waiting < DELTAS
    await flood.until_sent()
    assert await closed_books_of(database, host) == charged(cost_of([USAGE]))
    repeated = await held.http.post(CHAT, json=body, headers=headers)
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert DELTA * DELTAS in repeated.text


async def test_a_client_that_never_reads_is_cut_off_at_the_stream_timeout(
    tuned: httpx.AsyncClient, flood: Flood, host: Organization, database: Database
) -> None:
    async with opened_stream(tuned, host, "Say very much"):
        books = await closed_books_of(database, host)

    assert (books.holds, books.estimated) == (["settled"], [True])
    assert flood.sent < DELTAS
