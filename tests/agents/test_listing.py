from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.api_keys.scopes import ALL_SCOPES
from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.waiting import PATIENCE

FIELDS = [
    "id",
    "name",
    "description",
    "agent_type",
    "model",
    "is_active",
    "is_orchestrator",
    "tools",
    "sub_agents",
    "created_at",
    "updated_at",
]
AGENTS = """
[[agents]]
name = "host"
description = "Answers."
instruction = "Keep this to yourself."
is_orchestrator = true
tools = ["replicate_generate"]
sub_agents = ["studio", "painter"]

[[agents]]
name = "painter"
model = "a-model-of-its-own"

[[agents]]
name = "retired"
is_active = false

[[agents]]
name = "studio"
agent_type = "SEQUENTIAL_AGENT"
sub_agents = ["retired", "painter"]
"""


@pytest.fixture(scope="session")
async def team(database: Database) -> Organization:
    """An organization with agents of two types, one of them inactive."""
    return await factories.make_organization(database, agents=AGENTS)


@pytest.fixture(scope="session")
async def team_client(stack: Stack, team: Organization) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.base_url, headers=team.headers, timeout=PATIENCE) as opened:
        yield opened


async def listed(client: httpx.AsyncClient, **query: str) -> dict[str, dict[str, Any]]:
    """The agents that the query finds, by name."""
    body = (await client.get("/agents", params=query)).raise_for_status().json()
    assert list(body) == ["agents", "total"]
    assert body["total"] == len(body["agents"])
    return {agent["name"]: agent for agent in body["agents"]}


async def test_agents_are_listed_by_name_with_their_sub_agents(team_client: httpx.AsyncClient) -> None:
    agents = await listed(team_client)

    assert list(agents) == ["host", "painter", "retired", "studio"]
    assert all(list(agent) == FIELDS for agent in agents.values())
    ids = {name: agent["id"] for name, agent in agents.items()}
    assert agents["host"] | {"created_at": "", "updated_at": ""} == {
        "id": ids["host"],
        "name": "host",
        "description": "Answers.",
        "agent_type": "LLM_AGENT",
        "model": "sim-chat",
        "is_active": True,
        "is_orchestrator": True,
        "tools": ["replicate_generate"],
        "sub_agents": [ids["studio"], ids["painter"]],
        "created_at": "",
        "updated_at": "",
    }
    assert agents["studio"]["sub_agents"] == [ids["retired"], ids["painter"]]
    assert agents["painter"]["sub_agents"] == []


async def test_the_model_is_the_agents_own_or_else_the_operators(team_client: httpx.AsyncClient) -> None:
    agents = await listed(team_client)

    assert agents["painter"]["model"] == "a-model-of-its-own"
    assert agents["retired"]["model"] == "sim-chat"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"agent_type": "LLM_AGENT"}, ["host", "painter", "retired"]),
        ({"agent_type": "SEQUENTIAL_AGENT"}, ["studio"]),
        ({"agent_type": "PARALLEL_AGENT"}, []),
        ({"agent_type": "LOOP_AGENT"}, []),
        ({"is_active": "true"}, ["host", "painter", "studio"]),
        ({"is_active": "false"}, ["retired"]),
        ({"is_active": "0"}, ["retired"]),
        ({"agent_type": "LLM_AGENT", "is_active": "true"}, ["host", "painter"]),
        ({"agent_type": "SEQUENTIAL_AGENT", "is_active": "false"}, []),
        ({"unknown": "ignored"}, ["host", "painter", "retired", "studio"]),
    ],
)
async def test_the_list_can_be_filtered(
    team_client: httpx.AsyncClient, query: dict[str, str], names: list[str]
) -> None:
    assert list(await listed(team_client, **query)) == names


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agent_type", "CUSTOM_AGENT"),
        ("agent_type", "llm_agent"),
        ("agent_type", ""),
        ("agent_type", "\0"),
        ("is_active", "perhaps"),
        ("is_active", ""),
    ],
)
async def test_an_invalid_filter_is_refused(team_client: httpx.AsyncClient, name: str, value: str) -> None:
    response = await team_client.get("/agents", params={name: value})

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_request", name)
    assert error["message"].startswith(f"{name}: ")


async def test_times_are_whole_seconds(
    database: Database, organization: Organization, client: httpx.AsyncClient
) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE agents SET created_at = '2025-12-06 10:30:00.9+00', updated_at = '2025-12-06 13:30:59.999+02'"
            " WHERE organization_id = $1",
            organization.id,
        )

    agent = (await listed(client))["orchestrator"]

    assert (agent["created_at"], agent["updated_at"]) == ("2025-12-06T10:30:00Z", "2025-12-06T11:30:59Z")


async def test_agents_of_other_organizations_are_not_listed(
    team_client: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    own, theirs = await listed(client), await listed(team_client)

    assert list(own) == ["orchestrator", "writer"]
    assert own.keys().isdisjoint(theirs)


async def test_only_a_key_with_the_scope_may_list_agents(database: Database, team: Organization, stack: Stack) -> None:
    fitting = await factories.make_key(database, team, "agents:list")
    others = await factories.make_key(database, team, *(scope for scope in ALL_SCOPES if scope != "agents:list"))

    async with httpx.AsyncClient(base_url=stack.base_url, timeout=PATIENCE) as client:
        admitted = await client.get("/agents", headers={"X-API-Key": fitting})
        refused = await client.get("/agents", headers={"X-API-Key": others})

    assert admitted.status_code == 200
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "scope_not_allowed"
