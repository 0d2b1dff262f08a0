"""Clients that leave during a tool call: while the model writes it, while the server or a sub-agent runs it."""

from decimal import Decimal

import httpx
import pytest
from redis.asyncio import Redis

from app.core.database import Database
from tests import factories
from tests.agents.definitions import STUCK, agent, make_host, make_team
from tests.chat.asking import asked, conversation, opened_stream
from tests.chat.books import Books, books_of, charged, closed_books_of, cost_of, estimate_of
from tests.chat.leaving import check_ended_by_us, is_free
from tests.chat.openai.grammar import Json, read_stream
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.faults.books import content_statuses
from tests.sessions.reading import messages_of
from tests.waiting import until

WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
SLOW = "simulator/image--slow-4"


def said_in(deltas: list[Json]) -> str:
    """The names and arguments in the pieces of tool calls."""
    pieces = [piece["function"] for delta in deltas for piece in delta["tool_calls"]]
    return "".join(piece.get("name", "") + piece["arguments"] for piece in pieces)


@pytest.mark.parametrize(("count", "last_read"), [(1, b'"name":"get_weather"'), (2, b'"function":{"arguments":')])
async def test_leaving_during_the_models_tool_call(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, redis: Redis, count: int, last_read: bytes
) -> None:
    host = await make_host(database, f"sim-chat--stall-{count}")

    async with opened_stream(http, host, "get weather", tools=[WEATHER], **conversation("ours")) as opened:
        await opened.read(until=last_read)
        delivered = said_in(read_stream(opened.response, opened.raw, is_cut=True).deltas)

    await check_ended_by_us(upstream)
    estimate = estimate_of(upstream.the_request(), delivered)
    assert await closed_books_of(database, host) == charged(estimate, is_estimated=True)
    await until(lambda: is_free(redis, host))
    # An incomplete call in the session would make every later turn fail.
    assert await messages_of(http, host, "ours") == [("user", "get weather")]


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_leaving_while_the_server_runs_a_tool(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, redis: Redis, is_streamed: bool
) -> None:
    host = await make_host(database, tools=["replicate_generate"])
    await factories.price_models(database, SLOW)
    words = f"Please make {SLOW} of a quay"

    async with asked(http, host, words, stream=is_streamed, **conversation("ours")):
        await until(lambda: is_generating(database, host))

    await until(lambda: is_free(redis, host))
    (call,) = upstream.calls()
    # The turn is over; the generation that it requested goes on, and its hold stays open until it ends.
    turn = cost_of([call["usage"]])
    assert await books_of(database, host) == Books([turn], [False], ["settled", "open"], held=Decimal(1))
    # The complete call is kept, as it is charged.
    assert await messages_of(http, host, "ours") == [("user", words), ("assistant", None)]
    assert (await closed_books_of(database, host)).charges == [turn, Decimal("0.1")]
    assert await content_statuses(database, host) == ["completed"]
    assert len(upstream.calls()) == 1


async def is_generating(database: Database, host: Organization) -> bool:
    return await content_statuses(database, host) == ["processing"]


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_leaving_while_a_sub_agent_runs(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, redis: Redis, is_streamed: bool
) -> None:
    team = await make_team(database, agent("host", sub_agents=["poet"]), agent("poet", STUCK))

    async with asked(http, team, "Ask the poet", stream=is_streamed, **conversation("ours")):
        await upstream.begun(2)

    await check_ended_by_us(upstream, STUCK)
    # The host's call was complete; the poet had not said anything yet.
    (call,) = upstream.calls("host-model")
    assert await closed_books_of(database, team) == charged(cost_of([call["usage"]]))
    await until(lambda: is_free(redis, team))
    assert await messages_of(http, team, "ours") == [("user", "Ask the poet"), ("assistant", None)]
