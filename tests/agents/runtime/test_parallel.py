"""Agents that run in parallel."""

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import BROKEN, LONGEST_ANSWER, STUCK, agent, container, make_team
from tests.chat.asking import answer_of, ask, ask_to_stream, asked, conversation, opened_stream, stream, text_of, user
from tests.chat.books import NOTHING_CHARGED, books_of, charged, closed_books_of, cost_of
from tests.chat.upstream import UpstreamLog
from tests.sessions.reading import messages_of


async def test_parallel_agents_run_at_the_same_time(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, container("PARALLEL", "one", "two"), agent("one", STUCK), agent("two", STUCK))

    async with asked(http, team, "count to 2"):
        # If they ran one after the other, the second call would never be made.
        await upstream.begun(2)

    assert upstream.requests() == [{"model": STUCK, "messages": [user("count to 2")], "max_tokens": LONGEST_ANSWER}] * 2


async def test_parallel_agents_answer_in_their_order(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    slow, quick = agent("slow", "sim-chat--slow-0.3"), agent("quick")
    team = await make_team(database, container("PARALLEL", "slow", "quick"), slow, quick)

    whole = await answer_of(http, team, "repeat after me: hi")
    streamed = await stream(http, team, "repeat after me: hi")

    assert text_of(whole) == streamed.text == "hi\n\nhi"
    assert streamed.deltas == [{"content": "hi"}, {"content": "\n\nhi"}]
    first, second = upstream.calls()[:2], upstream.calls()[2:]
    costs = [cost_of(call["usage"] for call in calls) for calls in (first, second)]
    assert await books_of(database, team) == charged(*costs)


async def test_one_agents_failure_does_not_lose_the_others_answers(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(
        database, container("PARALLEL", "broken", "counter"), agent("broken", BROKEN), agent("counter")
    )

    whole = await answer_of(http, team, "count to 2")
    streamed = await stream(http, team, "count to 2")

    assert text_of(whole) == "(broken failed: The model provider failed to answer)\n\n1 2"
    assert streamed.text == text_of(whole)
    assert (await books_of(database, team)).total == cost_of(call["usage"] for call in upstream.calls("counter-model"))


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_if_all_agents_fail_the_turn_fails(
    http: httpx.AsyncClient, database: Database, is_streamed: bool
) -> None:
    team = await make_team(
        database,
        container("PARALLEL", "first", "second"),
        agent("first", "sim-chat--status-429-9"),
        agent("second", BROKEN),
    )

    response = await (ask_to_stream if is_streamed else ask)(http, team, "count to 2")

    assert (response.status_code, response.json()["error"]["code"]) == (429, "provider_rate_limited")
    assert response.headers["retry-after"] == "9"
    assert await books_of(database, team) == NOTHING_CHARGED


async def test_leaving_ends_every_parallel_call(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(
        database,
        container("PARALLEL", "quick", "one", "two"),
        agent("quick"),
        agent("one", "sim-chat--slow-30"),
        agent("two", "sim-chat--slow-31"),
    )

    async with opened_stream(http, team, "count to 2", **conversation("ours")) as opened:
        await opened.read(until=b'"1 2"')
        await upstream.begun(3)

    ended = await upstream.ended("sim-chat--slow-30", "sim-chat--slow-31", count=2)
    assert [call["outcome"] for call in ended] == ["client_disconnected"] * 2
    books = await closed_books_of(database, team)
    assert books == charged(cost_of(call["usage"] for call in upstream.calls("quick-model")))
    assert await messages_of(http, team, "ours") == [("user", "count to 2"), ("assistant", "1 2")]
