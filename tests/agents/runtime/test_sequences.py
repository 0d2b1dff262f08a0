"""Agents that run one after the other, each of which sees the answers before it."""

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import BROKEN, LONGEST_ANSWER, agent, container, make_team, prose
from tests.chat.asking import answer_of, ask, ask_to_stream, conversation, stream, text_of, user
from tests.chat.books import books_of, charged, cost_of, estimate_of, tokens_of
from tests.chat.upstream import UpstreamLog
from tests.sessions.reading import messages_of


async def test_each_agent_of_a_sequence_sees_the_answers_before_it(
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


async def test_an_agents_output_key_is_filled_into_later_instructions(
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


async def test_only_the_answering_agent_gets_the_parameters_of_the_answer(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, container("SEQUENTIAL", "counter", "writer"), agent("counter"), agent("writer"))
    form = {
        "response_format": {"type": "json_object"},
        "max_tokens": 50,
        "temperature": 0.5,
        "stop": "never",
        "top_k": 3,
    }
    for_all = {"seed": 7, "user": "ada", "safety_identifier": "a", "service_tier": "flex", "store": False}

    await answer_of(http, team, "count to 2", **for_all, **form)

    counter, writer = upstream.requests()
    assert counter.keys() == {"model", "messages", "max_tokens", *for_all}
    assert counter["max_tokens"] == LONGEST_ANSWER
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
    assert tokens_of(streamed.usage["usage"]) == {name: sum(usage[name] for usage in usages) for name in usages[0]}
    assert await books_of(database, team) == charged(cost_of(usages))


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_sequence_that_fails_late_is_charged_for_the_finished_calls_and_keeps_them(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    names = ("counter", "broken", "writer")
    models = [agent("counter"), agent("broken", BROKEN), agent("writer")]
    team = await make_team(database, container("SEQUENTIAL", *names), *models)

    response = await (ask_to_stream if is_streamed else ask)(http, team, "count to 2", **conversation("ours"))

    assert (response.status_code, response.json()["error"]["code"]) == (502, "provider_error")
    counter, broken = upstream.calls()
    assert (counter["outcome"], broken["outcome"]) == ("finished", "refused")
    assert await books_of(database, team) == charged(cost_of([counter["usage"]]))
    assert await messages_of(http, team, "ours") == [("user", "count to 2"), ("assistant", "1 2")]


async def test_a_sequence_that_fails_in_its_last_answer_is_charged_up_to_there(
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


async def test_the_session_remembers_what_the_client_received(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, container("SEQUENTIAL", "counter", "writer"), agent("counter"), agent("writer"))
    first = await answer_of(http, team, "count to 2", **conversation("ours"))

    await answer_of(http, team, "count to 3", **conversation("ours"))

    said = [("user", "count to 2"), ("assistant", text_of(first))]
    assert (await messages_of(http, team, "ours"))[:2] == said
    contents = [message["content"] for message in upstream.requests("counter-model")[-1]["messages"]]
    assert contents == ["count to 2", text_of(first), "count to 3"]


async def test_a_sequences_last_agent_may_call_the_clients_tools(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, container("SEQUENTIAL", "counter", "writer"), agent("counter"), agent("writer"))
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}

    answer = await answer_of(http, team, "repeat after me: get weather", tools=[tool])

    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert ["tools" in request for request in upstream.requests()] == [False, True]
