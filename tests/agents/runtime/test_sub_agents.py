"""Agents that another agent calls as tools, and how often it may call them."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import BROKEN, STUCK, agent, container, make_team
from tests.chat.asking import answer_of, asked, conversation, stream, text_of, user
from tests.chat.books import books_of, charged, cost_of, tokens_of
from tests.chat.upstream import UpstreamLog
from tests.sessions.reading import messages_of


def offered(request: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in request.get("tools", [])]


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_an_agent_is_called_as_a_tool(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    poet = agent("poet", description="Writes poems.", instruction="Rhyme.")
    team = await make_team(database, agent("host", sub_agents=["poet"]), poet)
    words = "Ask the poet"

    text = (await stream(http, team, words)).text if is_streamed else text_of(await answer_of(http, team, words))

    first, asked, second = upstream.calls()
    (tool,) = first["request"]["tools"]
    assert tool["function"]["name"] == "poet"
    assert tool["function"]["description"] == "Writes poems."
    assert tool["function"]["parameters"]["required"] == ["request"]
    # The sub-agent sees what it is asked, not the conversation; the caller reads its answer as the tool's result.
    assert asked["request"]["messages"] == [{"role": "system", "content": "Rhyme."}, user(words)]
    result = second["request"]["messages"][-1]
    assert (result["role"], result["content"].endswith("You said: Ask the poet")) == ("tool", True)
    assert text == f"The tool says:\n\n> {result['content']}"
    assert [call["stream"] for call in upstream.calls()] == [is_streamed, False, is_streamed]


async def test_calls_of_nested_sub_agents_are_all_counted(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(
        database,
        agent("host", sub_agents=["poet"]),
        agent("poet", "rather-dear", sub_agents=["rhymer"]),
        agent("rhymer"),
    )

    answer = await answer_of(http, team, "Let the poet ask the rhymer")

    assert [call["model"] for call in upstream.calls()] == [
        "host-model",
        "rather-dear",
        "rhymer-model",
        "rather-dear",
        "host-model",
    ]
    usages = [call["usage"] for call in upstream.calls()]
    assert tokens_of(answer["usage"]) == {name: sum(usage[name] for usage in usages) for name in usages[0]}
    assert await books_of(database, team) == charged(cost_of(usages))


async def test_agents_called_in_one_answer_run_at_the_same_time(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = agent("host", sub_agents=["poet", "painter"])
    team = await make_team(database, host, agent("poet", STUCK), agent("painter", STUCK))

    async with asked(http, team, "Ask poet and painter"):
        # If they ran one after the other, the second sub-agent's call would never be made.
        await upstream.begun(3)

    assert [call["model"] for call in upstream.calls()] == ["host-model", STUCK, STUCK]


async def test_the_caller_gets_the_result_of_every_agent_that_it_called(
    http: httpx.AsyncClient, database: Database
) -> None:
    host = agent("host", sub_agents=["poet", "painter"])
    team = await make_team(database, host, agent("poet"), agent("painter", BROKEN))

    text = text_of(await answer_of(http, team, "Ask poet and painter"))

    poet, painter = [line for line in text.splitlines() if line.startswith("> ")]
    assert poet.endswith("You said: Ask poet and painter")
    assert painter == '> {"error":"The model provider failed to answer"}'


async def test_a_sub_agents_failure_is_the_result_of_its_call(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, agent("host", sub_agents=["poet"]), agent("poet", BROKEN))

    answer = await answer_of(http, team, "Ask the poet")

    assert text_of(answer) == 'The tool says:\n\n> {"error":"The model provider failed to answer"}'
    assert await books_of(database, team) == charged(cost_of(call["usage"] for call in upstream.calls("host-model")))


async def test_a_container_may_be_a_tool(http: httpx.AsyncClient, database: Database, upstream: UpstreamLog) -> None:
    team = await make_team(
        database,
        agent("host", sub_agents=["writers"]),
        container("PARALLEL", "poet", "novelist", name="writers"),
        agent("poet", instruction="As a poem."),
        agent("novelist", instruction="As a novel."),
    )

    answer = await answer_of(http, team, "Ask the writers to count to 2")

    # Every model obeys "count to" at once, so the host itself answers without calling its tool.
    assert text_of(answer) == "1 2"
    assert [call["model"] for call in upstream.calls()] == ["host-model"]

    answer = await answer_of(http, team, "Ask the writers")

    assert text_of(answer).count("You said: Ask the writers") == 2
    assert {call["model"] for call in upstream.calls()[1:]} == {"host-model", "poet-model", "novelist-model"}


async def test_an_agent_at_its_maximum_of_calls_ends_with_an_answer(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, agent("host", sub_agents=["poet"], max_llm_calls=3), agent("poet"))

    answer = await answer_of(http, team, "Ask the poet again and again")

    requests = upstream.requests("host-model")
    # The last call is offered no tools: it can only answer.
    assert [offered(request) for request in requests] == [["poet"], ["poet"], []]
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert "You said: Ask the poet again and again" in text_of(answer)


async def test_an_agent_that_may_call_once_is_offered_no_tools(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, agent("host", sub_agents=["poet"], max_llm_calls=1), agent("poet"))

    await answer_of(http, team, "Ask the poet")

    assert upstream.the_request().keys() == {"model", "messages", "max_tokens"}


async def test_the_session_remembers_the_callers_side_only(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, agent("host", sub_agents=["poet"]), agent("poet"))

    answer = await answer_of(http, team, 'First say "one moment" and ask the poet', **conversation("ours"))

    roles = [role for role, _ in await messages_of(http, team, "ours")]
    assert roles == ["user", "assistant", "tool", "assistant"]
    await answer_of(http, team, "Hello", **conversation("ours"))
    assert [message["role"] for message in upstream.requests()[-1]["messages"]] == [*roles, "user"]
    assert text_of(answer).startswith("one moment\n\nThe tool says:")


async def test_exit_loop_ends_the_agents_own_calls_at_once(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(
        database,
        container("LOOP", "critic", max_iterations=5),
        agent("critic"),
    )

    answer = await answer_of(http, team, 'First say "good enough" and exit loop')

    assert len(upstream.calls()) == 1
    assert text_of(answer) == "good enough"
