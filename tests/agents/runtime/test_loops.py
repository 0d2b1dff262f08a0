"""Agents that run in a loop."""

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import agent, container, make_team, prose
from tests.chat.asking import answer_of, stream, text_of, user
from tests.chat.books import books_of, charged, cost_of
from tests.chat.upstream import UpstreamLog


async def test_a_loop_ends_when_its_iterations_are_used_up(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(
        database, container("LOOP", "poet", "critic", max_iterations=2), agent("poet"), agent("critic")
    )

    answer = await answer_of(http, team, "Hello")

    poet_1, critic_1, poet_2, critic_2 = upstream.calls()
    assert [call["model"] for call in (poet_1, critic_1, poet_2, critic_2)] == ["poet-model", "critic-model"] * 2
    assert len(critic_2["request"]["messages"]) == 4
    assert critic_2["request"]["messages"][:2] == [user("Hello"), user(f"[poet]\n{prose('Hello')}")]
    assert text_of(answer) == prose(critic_2["request"]["messages"][-1]["content"])
    assert all(
        [tool["function"]["name"] for tool in request["tools"]] == ["exit_loop"] for request in upstream.requests()
    )
    assert await books_of(database, team) == charged(cost_of(call["usage"] for call in upstream.calls()))


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_loop_ends_when_one_of_its_agents_says_so(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    team = await make_team(
        database, container("LOOP", "poet", "critic", max_iterations=9), agent("poet"), agent("critic")
    )
    # The poet's answer makes the critic, who reads it, call the tool.
    words = "repeat after me: exit loop"

    text = (await stream(http, team, words)).text if is_streamed else text_of(await answer_of(http, team, words))

    assert [call["model"] for call in upstream.calls()] == ["poet-model", "critic-model"]
    assert text == "exit loop"
    assert await books_of(database, team) == charged(cost_of(call["usage"] for call in upstream.calls()))


async def test_ending_an_inner_loop_does_not_end_the_outer_one(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(
        database,
        container("LOOP", "inner", "reader", max_iterations=2),
        container("LOOP", "poet", "critic", name="inner", max_iterations=9),
        *map(agent, ("poet", "critic", "reader")),
    )

    await answer_of(http, team, "repeat after me: exit loop")

    # The critic ends the inner loop at once; the reader, who sees the same words, ends the outer one.
    assert [call["model"] for call in upstream.calls()] == ["poet-model", "critic-model", "reader-model"]


async def test_a_sequence_in_a_loop_ends_with_the_agent_that_says_so(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(
        database,
        container("LOOP", "line", "reader"),
        container("SEQUENTIAL", "critic", "poet", name="line"),
        *map(agent, ("critic", "poet", "reader")),
    )

    answer = await answer_of(http, team, 'First say "good enough" and exit loop')

    assert [call["model"] for call in upstream.calls()] == ["critic-model"]
    assert text_of(answer) == "good enough"


async def test_the_last_text_is_the_answer_of_a_sequence_that_exit_loop_ends(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    line = container("SEQUENTIAL", "poet", "critic", name="line")
    team = await make_team(database, container("LOOP", "line"), line, agent("poet"), agent("critic"))

    answer = await answer_of(http, team, "repeat after me: exit loop")

    assert [call["model"] for call in upstream.calls()] == ["poet-model", "critic-model"]
    assert text_of(answer) == "exit loop"


async def test_a_sequence_goes_on_when_a_parallel_agent_ends_the_loop(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    # With one call each, these two are not offered the tool that ends the loop.
    slow, last = agent("slow", "sim-chat--slow-0.3", max_llm_calls=1), agent("last", max_llm_calls=1)
    team = await make_team(
        database,
        container("LOOP", "both", max_iterations=5),
        container("PARALLEL", "critic", "line", name="both"),
        container("SEQUENTIAL", "slow", "last", name="line"),
        agent("critic"),
        slow,
        last,
    )

    answer = await answer_of(http, team, 'First say "enough" and exit loop')

    assert sorted(call["model"] for call in upstream.calls()) == ["critic-model", "last-model", "sim-chat--slow-0.3"]
    assert text_of(answer).startswith("enough\n\nThis is a simulated answer")
