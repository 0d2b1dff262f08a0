"""Models that take too long, and what keeps a connection alive meanwhile."""

import asyncio
from itertools import pairwise
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

    answer = await (ask_to_stream if is_streamed else ask)(tuned, host, WORDS, **conversation("ours"))

    assert answer.status_code == 504
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("provider_error", "provider_timeout")
    assert answer.headers["x-should-retry"] == "false"
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


async def test_a_slow_model_leaves_no_silence(http: httpx.AsyncClient, database: Database) -> None:
    """The stream begins within 5 s and is never silent for longer; 6 s allow for a busy machine."""
    host = await make_host(database, "sim-chat--first-token-slow-11")

    async def watch_silence(moments: list[float]) -> None:
        seen = len(opened.raw)
        while True:
            await asyncio.sleep(0.05)
            if len(opened.raw) > seen:
                seen = len(opened.raw)
                moments.append(monotonic())

    moments = [monotonic()]
    async with opened_stream(http, host, WORDS) as opened:
        moments.append(monotonic())
        watching = asyncio.create_task(watch_silence(moments))
        await opened.read()
        moments.append(monotonic())
        watching.cancel()

    streamed = read_stream(opened.response, opened.raw)
    assert (streamed.text, streamed.finish_reason) == ("1 2 3", "stop")
    assert streamed.keep_alives > 0
    assert max(after - before for before, after in pairwise(moments)) < 6


async def test_waiting_for_a_busy_session_does_not_delay_the_first_byte(
    http: httpx.AsyncClient, database: Database
) -> None:
    """The 5 s are counted from the request; 6.5 s allow for a busy machine."""
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
