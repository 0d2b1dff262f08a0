"""Streams of turns that succeed."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, opened_stream, stream, text_of
from tests.chat.books import books_of, cost_of, tokens_of
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization

USAGE = {"include_usage": True}


@pytest.fixture(scope="module")
async def host(database: Database) -> Organization:
    return await make_host(database)


async def test_every_word_is_a_chunk_of_its_own(http: httpx.AsyncClient, host: Organization) -> None:
    streamed = await stream(http, host, "count to 4")

    assert streamed.deltas == [{"content": word} for word in ("1 ", "2 ", "3 ", "4")]
    assert streamed.finish_reason == "stop"
    assert streamed.first["model"] == "junis-orchestrator"
    assert (streamed.usage, streamed.keep_alives) == (None, 0)


async def test_usage_is_streamed_only_if_it_is_requested(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    asked = await stream(http, host, "count to 4", stream_options=USAGE)
    declined = await stream(http, host, "count to 4", stream_options={"include_usage": False})

    assert asked.usage is not None
    assert tokens_of(asked.usage["usage"]) == upstream.calls()[0]["usage"]
    assert declined.usage is None
    # The server itself always asks for usage, because it charges by it.
    assert all(request["stream_options"]["include_usage"] for request in upstream.requests())


async def test_a_stream_has_the_text_and_the_cost_of_the_whole_answer(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database)
    streamed = await stream(http, host, "count to 30", stream_options=USAGE)
    whole = await answer_of(http, host, "count to 30")

    assert streamed.usage is not None
    assert streamed.text == text_of(whole)
    assert streamed.usage["usage"] == whole["usage"]
    assert streamed.finish_reason == whole["choices"][0]["finish_reason"]
    charges = (await books_of(database, host)).charges
    assert charges == [cost_of([entry["usage"]]) for entry in upstream.calls()]
    assert charges[0] == charges[1] > 0


async def test_words_arrive_as_the_model_says_them(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, "sim-chat--stall-3")

    async with opened_stream(http, host, "count to 9") as opened:
        await opened.read(until=b'"3 "')

    assert b'"4' not in opened.raw


async def test_a_stream_is_not_compressed(http: httpx.AsyncClient, host: Organization) -> None:
    async with opened_stream(http, host, "count to 2000") as opened:
        await opened.read()

    assert "gzip" in opened.response.request.headers["accept-encoding"]
    assert opened.raw.startswith(b"data: {")


async def test_an_answer_may_be_empty(http: httpx.AsyncClient, host: Organization) -> None:
    streamed = await stream(http, host, "repeat after me:")

    assert (streamed.deltas, streamed.finish_reason) == ([], "stop")


@pytest.mark.parametrize(("limits", "reason"), [({"max_tokens": 2}, "length"), ({"stop": "3"}, "stop")])
async def test_limits_of_the_client_end_a_stream(
    http: httpx.AsyncClient, host: Organization, limits: dict[str, Any], reason: str
) -> None:
    streamed = await stream(http, host, "count to 9", **limits)

    assert streamed.text.startswith("1 2 ")
    assert "9" not in streamed.text
    assert streamed.finish_reason == reason
