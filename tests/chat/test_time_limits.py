"""Models that take too long, and the keep-alives while they do."""

import asyncio
from time import monotonic

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host, make_team
from tests.chat.asking import ask, ask_to_stream, conversation, opened_stream, stream
from tests.chat.books import NOTHING_CHARGED, books_of, charged, estimate_of
from tests.chat.openai.grammar import read_stream
from tests.chat.upstream import UpstreamLog
from tests.sessions.reading import messages_of

WORDS = "count to 3"


@pytest.mark.parametrize("fault", ["slow-30", "stall-0", "first-token-slow-30"])
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_turn_that_says_nothing_in_time_is_a_504(
    tuned: httpx.AsyncClient, database: Database, upstream: UpstreamLog, fault: str, is_streamed: bool
) -> None:
    host = await make_host(database, f"sim-chat--{fault}")

    response = await (ask_to_stream if is_streamed else ask)(tuned, host, WORDS, **conversation("ours"))

    assert response.status_code == 504
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("provider_error", "provider_timeout")
    assert response.headers["x-should-retry"] == "false"
    assert (await upstream.ended())[0]["outcome"] == "client_disconnected"
    assert await books_of(database, host) == NOTHING_CHARGED
    assert await messages_of(tuned, host, "ours") == []


async def test_a_stream_that_takes_too_long_ends_with_an_error(
    tuned: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-2")

    streamed = await stream(tuned, host, WORDS)

    assert streamed.text == "1 2 "
    assert streamed.error is not None
    assert streamed.error["code"] == "provider_timeout"
    estimate = estimate_of(upstream.the_request(), "1 2 ")
    assert await books_of(database, host) == charged(estimate, is_estimated=True)
    assert await messages_of(tuned, host, streamed.session_id) == [("user", WORDS), ("assistant", "1 2 ")]


async def test_a_stream_of_a_slow_model_is_never_silent(http: httpx.AsyncClient, database: Database) -> None:
    """The stream begins before the model answers, with keep-alives until it does; `bench/silence.py` times them."""
    host = await make_host(database, "sim-chat--first-token-slow-14")

    async with opened_stream(http, host, WORDS) as opened:
        await opened.read()

    streamed = read_stream(opened.response, opened.raw)
    assert (streamed.text, streamed.finish_reason) == ("1 2 3", "stop")
    before_the_first_word, _, _ = opened.raw.partition(b'"1 "')
    # It begins after 5 s, and 5 s later there is still no word.
    assert b'"role"' in before_the_first_word
    assert b": keep-alive" in before_the_first_word


async def test_waiting_for_a_busy_session_does_not_delay_the_first_byte(
    http: httpx.AsyncClient, database: Database
) -> None:
    """The 5 s until the stream begins are counted from the request; 6.5 s allow for a busy machine."""
    late = {"name": "late", "model": "sim-chat--first-token-slow-30"}
    team = await make_team(database, {"name": "host", "model": "sim-chat--stall-1"}, late)

    async def seconds_until_begun() -> float:
        asked_at = monotonic()
        async with opened_stream(http, team, WORDS, model="agent/late", session_id="ours") as opened:
            await opened.read(until=b'"role"')
        return monotonic() - asked_at

    async with opened_stream(http, team, WORDS, **conversation("ours")) as opened:
        await opened.read(until=b'"1 "')
        waiting = asyncio.create_task(seconds_until_begun())
        await asyncio.sleep(3.5)

    assert await waiting < 6.5
