"""Nested containers of agents, and what all kinds of containers have in common."""

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import agent, container, make_team, prose
from tests.chat.asking import answer_of, ask, stream, text_of, user
from tests.chat.books import books_of, charged, cost_of
from tests.chat.upstream import UpstreamLog


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
async def test_a_container_without_active_agents_gives_an_empty_answer(
    http: httpx.AsyncClient, database: Database, kind: str
) -> None:
    team = await make_team(database, container(kind, "asleep"), agent("asleep", is_active=False))

    whole, streamed = await answer_of(http, team, "Hello"), await stream(http, team, "Hello")

    assert (text_of(whole), streamed.text, streamed.finish_reason) == ("", "", "stop")
    assert (await books_of(database, team)).charges == []


@pytest.mark.parametrize("kind", ["SEQUENTIAL", "PARALLEL", "LOOP"])
async def test_a_clients_tool_named_like_one_of_an_answering_agent_is_refused(
    http: httpx.AsyncClient, database: Database, kind: str
) -> None:
    inner = container("SEQUENTIAL", "painter", name="inner")
    painter = agent("painter", tools=["replicate_generate"])
    team = await make_team(database, container(kind, "inner"), inner, painter)
    tool = {"type": "function", "function": {"name": "replicate_generate"}}

    response = await ask(http, team, "Hello", tools=[tool])

    # Only the last agent of a sequence is offered the client's tools; elsewhere the names cannot collide.
    assert response.status_code == (400 if kind == "SEQUENTIAL" else 200)
