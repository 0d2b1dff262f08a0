"""Requests to an agent itself: by its id, and by `model: "agent/<name>"`."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.agents.definitions import make_host, make_team
from tests.chat.asking import answer_of, ask, conversation, stream, text_of, user
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.sessions.reading import messages_of

TEAM: list[dict[str, Any]] = [
    {"name": "host", "model": "host-model"},
    {"name": "poet", "model": "poet-model", "instruction": "Rhyme."},
    {"name": "retired", "is_active": False},
    {"name": "studio", "agent_type": "SEQUENTIAL_AGENT", "sub_agents": ["poet"]},
]


@pytest.fixture(scope="module")
async def team(database: Database) -> Organization:
    return await make_team(database, *TEAM)


@pytest.fixture(scope="module")
async def ids(http: httpx.AsyncClient, team: Organization) -> dict[str, str]:
    listed = (await http.get("/agents", headers=team.headers)).raise_for_status().json()["agents"]
    return {agent["name"]: agent["id"] for agent in listed}


def path_of(agent_id: str) -> str:
    return f"/agents/{agent_id}/completions"


async def test_an_agent_answers_under_its_id(
    http: httpx.AsyncClient, team: Organization, ids: dict[str, str], upstream: UpstreamLog
) -> None:
    answer = await answer_of(http, team, "count to 2", path=path_of(ids["poet"]))

    assert (answer["agent_id"], answer["model"], text_of(answer)) == (ids["poet"], "agent/poet", "1 2")
    assert answer["object"] == "chat.completion"
    request = upstream.the_request()
    assert (request["model"], request["messages"][0]["content"]) == ("poet-model", "Rhyme.")


async def test_an_agent_streams_under_its_id(http: httpx.AsyncClient, team: Organization, ids: dict[str, str]) -> None:
    streamed = await stream(http, team, "count to 2", path=path_of(ids["poet"]))

    assert (streamed.first["agent_id"], streamed.first["model"]) == (ids["poet"], "agent/poet")
    assert streamed.text == "1 2"


async def test_a_prompt_is_short_for_one_user_message(
    http: httpx.AsyncClient, team: Organization, ids: dict[str, str], upstream: UpstreamLog
) -> None:
    short = await answer_of(http, team, prompt="count to 2", path=path_of(ids["poet"]))

    assert text_of(short) == "1 2"
    assert upstream.the_request()["messages"][-1] == user("count to 2")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [user("Hello")], "prompt": "Hello"}, "prompt"),
    ],
)
async def test_a_request_has_either_a_prompt_or_messages(
    http: httpx.AsyncClient, team: Organization, ids: dict[str, str], body: dict[str, Any], param: str
) -> None:
    response = await ask(http, team, path=path_of(ids["poet"]), **body)

    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


async def test_the_orchestrator_takes_no_prompt(http: httpx.AsyncClient, team: Organization) -> None:
    response = await ask(http, team, prompt="Hello")

    assert (response.status_code, response.json()["error"]["param"]) == (400, "prompt")


async def test_the_orchestrator_may_be_talked_to_as_an_agent(
    http: httpx.AsyncClient, team: Organization, ids: dict[str, str]
) -> None:
    answer = await answer_of(http, team, "count to 2", path=path_of(ids["host"]))

    assert (answer["agent_id"], answer["model"]) == (ids["host"], "agent/host")


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("retired", 400, "agent_inactive"), ("studio", 400, "agent_not_invocable"), ("nobody", 404, "agent_not_found")],
)
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_agents_that_cannot_be_invoked_are_refused(
    http: httpx.AsyncClient,
    team: Organization,
    ids: dict[str, str],
    upstream: UpstreamLog,
    name: str,
    status: int,
    code: str,
    is_streamed: bool,
) -> None:
    by_id = await ask(http, team, "Hello", path=path_of(ids.get(name, "agent-of-nobody")), stream=is_streamed)
    by_name = await ask(http, team, "Hello", model=f"agent/{name}", stream=is_streamed)

    for response in (by_id, by_name):
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)
        assert response.json()["error"]["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
    assert upstream.calls() == []


async def test_agents_of_other_organizations_are_not_found(
    http: httpx.AsyncClient, database: Database, ids: dict[str, str], upstream: UpstreamLog
) -> None:
    stranger = await make_host(database)

    by_id = await ask(http, stranger, "Hello", path=path_of(ids["poet"]))
    by_name = await ask(http, stranger, "Hello", model="agent/poet")

    assert [response.json()["error"]["code"] for response in (by_id, by_name)] == ["agent_not_found"] * 2
    assert upstream.calls() == []


async def test_an_agent_answers_under_its_name(
    http: httpx.AsyncClient, team: Organization, upstream: UpstreamLog
) -> None:
    whole = await answer_of(http, team, "count to 2", model="agent/poet")
    streamed = await stream(http, team, "count to 2", model="agent/poet")

    assert (whole["model"], text_of(whole), "agent_id" in whole) == ("agent/poet", "1 2", False)
    assert (streamed.first["model"], streamed.text, "agent_id" in streamed.first) == ("agent/poet", "1 2", False)
    assert [request["model"] for request in upstream.requests()] == ["poet-model"] * 2


@pytest.mark.parametrize("model", ["junis-orchestrator", "gpt-4o", "agents/poet", "AGENT/poet", ""])
async def test_any_other_model_is_the_orchestrator(
    http: httpx.AsyncClient, team: Organization, upstream: UpstreamLog, model: str
) -> None:
    answer = await answer_of(http, team, "count to 2", model=model)

    assert answer["model"] == "junis-orchestrator"
    assert upstream.the_request()["model"] == "host-model"


async def test_each_route_needs_its_scopes(
    http: httpx.AsyncClient, database: Database, team: Organization, ids: dict[str, str], upstream: UpstreamLog
) -> None:
    talker = await factories.make_key(database, team, "orchestrator:invoke")
    invoker = await factories.make_key(database, team, "agents:invoke")
    paths = {"/v1/chat/completions": None, path_of(ids["poet"]): None}

    async def statuses(key: str) -> list[int]:
        headers = {"X-API-Key": key}
        body = {"messages": [user("count to 2")]}
        by_name = await http.post("/v1/chat/completions", json={**body, "model": "agent/poet"}, headers=headers)
        by_path = [await http.post(path, json=body, headers=headers) for path in paths]
        return [response.status_code for response in (by_name, *by_path)]

    assert await statuses(talker) == [403, 200, 403]
    assert await statuses(invoker) == [403, 403, 200]
    assert len(upstream.calls()) == 2


async def test_an_organization_without_an_orchestrator_can_only_talk_to_agents(
    http: httpx.AsyncClient, database: Database
) -> None:
    team = await make_team(database, *TEAM)
    async with database.transaction() as tx:
        await tx.execute("UPDATE agents SET is_orchestrator = false WHERE organization_id = $1", team.id)

    refused = await ask(http, team, "Hello")

    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "agent_not_found")
    assert text_of(await answer_of(http, team, "count to 2", model="agent/poet")) == "1 2"


async def test_an_inactive_orchestrator_is_refused_as_inactive(http: httpx.AsyncClient, database: Database) -> None:
    team = await make_team(database, {"name": "host", "model": "host-model", "is_active": False})

    refused = await ask(http, team, "Hello")

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "agent_inactive")


async def test_a_session_may_be_shared_by_agents(
    http: httpx.AsyncClient, team: Organization, ids: dict[str, str], upstream: UpstreamLog
) -> None:
    await answer_of(http, team, "count to 2", **conversation("shared"))
    await answer_of(http, team, "count to 3", path=path_of(ids["poet"]), session_id="shared")

    assert [message["content"] for message in upstream.requests()[-1]["messages"]] == [
        "Rhyme.",
        "count to 2",
        "1 2",
        "count to 3",
    ]
    assert len(await messages_of(http, team, "shared")) == 4
