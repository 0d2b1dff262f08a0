"""Agents that run others: in turn, side by side, again and again, and all of that in each other."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from simulator.media.scene import NOTICE
from tests.agents.definitions import make_team
from tests.chat.asking import answer_of, ask, ask_to_stream, conversation, opened_stream, stream, text_of, user
from tests.chat.books import NOTHING_CHARGED, books_of, charged, closed_books_of, cost_of, estimate_of
from tests.chat.upstream import UpstreamLog
from tests.sessions.reading import messages_of

BROKEN = "sim-chat--status-500"


def container(kind: str, *names: str, name: str = "host", **fields: Any) -> dict[str, Any]:
    return {"name": name, "agent_type": f"{kind}_AGENT", "sub_agents": list(names), **fields}


def agent(name: str, model: str | None = None, **fields: Any) -> dict[str, Any]:
    """An agent whose model is called like itself, so that the simulator's log tells them apart."""
    return {"name": name, "model": model or f"{name}-model", **fields}


def prose(words: str) -> str:
    """What the simulator's model answers where nothing is asked of it."""
    return f"This is a simulated answer ({NOTICE}). You said: {words}"


async def test_in_a_sequence_each_sees_what_those_before_it_said(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(
        database, container("SEQUENTIAL", "counter", "reader", "writer"), *map(agent, ("counter", "reader", "writer"))
    )

    answer = await answer_of(http, team, "count to 2")

    counter, reader, writer = upstream.calls()
    assert [call["model"] for call in (counter, reader, writer)] == ["counter-model", "reader-model", "writer-model"]
    assert counter["ended_at"] <= reader["at"]
    assert reader["ended_at"] <= writer["at"]
    first = user("[counter]\n1 2")
    second = user(f"[reader]\n{prose(first['content'])}")
    assert counter["request"]["messages"] == [user("count to 2")]
    assert reader["request"]["messages"] == [user("count to 2"), first]
    assert writer["request"]["messages"] == [user("count to 2"), first, second]
    assert text_of(answer) == prose(second["content"])
    assert answer["model"] == "junis-orchestrator"


async def test_what_an_agent_wrote_under_its_key_stands_in_later_instructions(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(
        database,
        container("SEQUENTIAL", "counter", "writer"),
        agent("counter", output_key="numbers", instruction="Count. {numbers}"),
        agent("writer", instruction="Write about {numbers}."),
    )

    await answer_of(http, team, "count to 3")

    counter, writer = upstream.requests()
    assert counter["messages"][0] == {"role": "system", "content": "Count. {numbers}"}
    assert writer["messages"][0] == {"role": "system", "content": "Write about 1 2 3."}


async def test_only_the_answering_agent_is_told_the_form_of_the_answer(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, container("SEQUENTIAL", "counter", "writer"), agent("counter"), agent("writer"))
    form = {"response_format": {"type": "json_object"}, "max_tokens": 50, "temperature": 0.5, "stop": "never"}

    await answer_of(http, team, "count to 2", seed=7, user="ada", **form)

    counter, writer = upstream.requests()
    assert counter.keys() == {"model", "messages", "seed", "user"}
    assert {name: writer[name] for name in form} == form


async def test_the_last_agent_of_a_sequence_is_streamed(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, container("SEQUENTIAL", "counter", "writer"), agent("counter"), agent("writer"))

    streamed = await stream(http, team, "count to 2", stream_options={"include_usage": True})

    assert streamed.text == prose("[counter]\n1 2")
    assert len(streamed.deltas) > 10
    assert [request.get("stream", False) for request in upstream.requests()] == [False, True]
    assert streamed.usage is not None
    usages = [call["usage"] for call in upstream.calls()]
    assert streamed.usage["usage"] == {name: sum(usage[name] for usage in usages) for name in usages[0]}
    assert await books_of(database, team) == charged(cost_of(usages))


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_sequence_that_fails_before_it_says_anything_costs_nothing(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    names = ("counter", "broken", "writer")
    models = [agent("counter"), agent("broken", BROKEN), agent("writer")]
    team = await make_team(database, container("SEQUENTIAL", *names), *models)

    answer = await (ask_to_stream if is_streamed else ask)(http, team, "count to 2")

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_error")
    assert [call["outcome"] for call in upstream.calls()] == ["finished", "refused"]
    assert await books_of(database, team) == NOTHING_CHARGED


async def test_a_sequence_that_fails_in_its_last_answer_is_paid_up_to_there(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    models = [agent("counter"), agent("writer", "sim-chat--cut-2")]
    team = await make_team(database, container("SEQUENTIAL", "counter", "writer"), *models)

    streamed = await stream(http, team, "count to 2")

    assert streamed.text == "This is "
    assert streamed.error is not None
    counter, writer = upstream.calls()
    cost = cost_of([counter["usage"]]) + estimate_of(writer["request"], "This is ")
    assert await books_of(database, team) == charged(cost, is_estimated=True)


async def test_agents_side_by_side_run_at_the_same_time_and_answer_in_order(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    slow, quick = agent("slow", "sim-chat--slow-1"), agent("quick", "sim-chat--slow-0.5")
    team = await make_team(database, container("PARALLEL", "slow", "quick"), slow, quick)

    answer = await answer_of(http, team, "count to 2")

    first, second = upstream.calls()
    assert max(first["at"], second["at"]) < min(first["ended_at"], second["ended_at"])
    assert [request["messages"] for request in upstream.requests()] == [[user("count to 2")]] * 2
    assert text_of(answer) == "1 2\n\n1 2"
    assert await books_of(database, team) == charged(cost_of([first["usage"], second["usage"]]))


async def test_one_that_fails_loses_no_other(
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
async def test_where_all_fail_the_turn_fails(http: httpx.AsyncClient, database: Database, is_streamed: bool) -> None:
    team = await make_team(
        database,
        container("PARALLEL", "first", "second"),
        agent("first", "sim-chat--status-429-9"),
        agent("second", BROKEN),
    )

    answer = await (ask_to_stream if is_streamed else ask)(http, team, "count to 2")

    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "provider_rate_limited")
    assert answer.headers["retry-after"] == "9"
    assert await books_of(database, team) == NOTHING_CHARGED


async def test_leaving_ends_every_call_side_by_side(
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
    # The poet says what makes the critic, who reads it, call the tool.
    words = "repeat after me: exit loop"

    text = (await stream(http, team, words)).text if is_streamed else text_of(await answer_of(http, team, words))

    assert [call["model"] for call in upstream.calls()] == ["poet-model", "critic-model"]
    assert text == "exit loop"
    assert await books_of(database, team) == charged(cost_of(call["usage"] for call in upstream.calls()))


async def test_a_loop_within_a_loop_is_left_alone(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(
        database,
        container("LOOP", "inner", "reader", max_iterations=2),
        container("LOOP", "poet", "critic", name="inner", max_iterations=9),
        *map(agent, ("poet", "critic", "reader")),
    )

    await answer_of(http, team, "repeat after me: exit loop")

    # The critic ends the inner loop at once; that the reader sees the same words ends the outer one.
    assert [call["model"] for call in upstream.calls()] == ["poet-model", "critic-model", "reader-model"]


async def test_containers_nest(http: httpx.AsyncClient, database: Database, upstream: UpstreamLog) -> None:
    team = await make_team(
        database,
        container("SEQUENTIAL", "both", "last"),
        container("PARALLEL", "again", "counter", name="both"),
        container("LOOP", "inner", name="again", max_iterations=2),
        container("SEQUENTIAL", "poet", name="inner"),
        *map(agent, ("counter", "poet", "last")),
    )

    streamed = await stream(http, team, "count to 2", stream_options={"include_usage": True})

    (last,) = upstream.calls("last-model")
    assert len(upstream.calls("poet-model")) == 2
    assert len(upstream.calls("counter-model")) == 1
    poet_said = prose("[inner]\n1 2")
    assert last["request"]["messages"] == [user("count to 2"), user(f"[both]\n{poet_said}\n\n1 2")]
    assert streamed.text == prose(f"[both]\n{poet_said}\n\n1 2")
    assert streamed.usage is not None
    assert streamed.usage["usage"]["total_tokens"] == sum(call["usage"]["total_tokens"] for call in upstream.calls())
    assert await books_of(database, team) == charged(cost_of(call["usage"] for call in upstream.calls()))


@pytest.mark.parametrize("kind", ["SEQUENTIAL", "PARALLEL", "LOOP"])
async def test_a_container_of_nothing_says_nothing(http: httpx.AsyncClient, database: Database, kind: str) -> None:
    team = await make_team(database, container(kind, "asleep"), agent("asleep", is_active=False))

    whole, streamed = await answer_of(http, team, "Hello"), await stream(http, team, "Hello")

    assert (text_of(whole), streamed.text, streamed.finish_reason) == ("", "", "stop")
    assert (await books_of(database, team)).charges == []


async def test_the_session_remembers_what_the_client_was_told(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, container("SEQUENTIAL", "counter", "writer"), agent("counter"), agent("writer"))
    first = await answer_of(http, team, "count to 2", **conversation("ours"))

    await answer_of(http, team, "count to 3", **conversation("ours"))

    said = [("user", "count to 2"), ("assistant", text_of(first))]
    assert (await messages_of(http, team, "ours"))[:2] == said
    contents = [message["content"] for message in upstream.requests("counter-model")[-1]["messages"]]
    assert contents == ["count to 2", text_of(first), "count to 3"]


@pytest.mark.parametrize("kind", ["SEQUENTIAL", "PARALLEL", "LOOP"])
async def test_a_clients_tool_named_like_one_of_an_answering_agent_is_refused(
    http: httpx.AsyncClient, database: Database, kind: str
) -> None:
    inner = container("SEQUENTIAL", "painter", name="inner")
    painter = agent("painter", tools=["replicate_generate"])
    team = await make_team(database, container(kind, "inner"), inner, painter)
    tool = {"type": "function", "function": {"name": "replicate_generate"}}

    answer = await ask(http, team, "Hello", tools=[tool])

    # Only the last agent of a sequence is offered the client's tools: elsewhere there is nothing to mix up.
    assert answer.status_code == (400 if kind == "SEQUENTIAL" else 200)


async def test_a_sequences_last_agent_may_call_the_clients_tools(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, container("SEQUENTIAL", "counter", "writer"), agent("counter"), agent("writer"))
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}

    answer = await answer_of(http, team, "repeat after me: get weather", tools=[tool])

    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert ["tools" in request for request in upstream.requests()] == [False, True]
