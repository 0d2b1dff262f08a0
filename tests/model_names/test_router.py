from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from openai import AsyncOpenAI, NotFoundError

from app.api_keys.scopes import ALL_SCOPES
from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.waiting import PATIENCE, until

AGENTS = """
[[agents]]
name = "host"
is_orchestrator = true

[[agents]]
name = "painter"

[[agents]]
name = "retired"
is_active = false

[[agents]]
name = "studio"
agent_type = "PARALLEL_AGENT"
sub_agents = ["painter"]
"""
IDS = ["junis-orchestrator", "agent/host", "agent/painter"]


@pytest.fixture(scope="session")
async def team(database: Database) -> Organization:
    """An organization with agents that can be invoked, and two that cannot."""
    return await factories.make_organization(database, agents=AGENTS)


@pytest.fixture(scope="session")
async def team_client(stack: Stack, team: Organization) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.base_url, headers=team.headers, timeout=PATIENCE) as opened:
        yield opened


@pytest.fixture
async def openai(stack: Stack, team: Organization) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{stack.base_url}/v1", api_key=team.api_key, max_retries=0) as opened:
        yield opened


async def test_the_orchestrator_and_each_active_llm_agent_are_models(
    team_client: httpx.AsyncClient, team: Organization
) -> None:
    response = await team_client.get("/v1/models")

    assert response.status_code == 200
    assert list(response.json()) == ["object", "data"]
    assert response.json()["object"] == "list"
    models = response.json()["data"]
    assert [model["id"] for model in models] == IDS
    assert all(list(model) == ["id", "object", "created", "owned_by"] for model in models)
    assert {(model["object"], model["owned_by"]) for model in models} == {("model", team.id)}


async def test_a_model_has_the_creation_time_of_its_agent(
    database: Database, organization: Organization, client: httpx.AsyncClient
) -> None:
    async with database.transaction() as tx:
        moment = datetime(2025, 12, 6, 10, 30, 0, 900_000, UTC)
        await tx.execute("UPDATE agents SET created_at = $2 WHERE organization_id = $1", organization.id, moment)

    models = (await client.get("/v1/models")).json()["data"]

    assert {model["id"]: model["created"] for model in models} == {
        "junis-orchestrator": 1765017000,
        "agent/orchestrator": 1765017000,
        "agent/writer": 1765017000,
    }


async def test_an_organization_without_an_orchestrator_still_lists_its_model(database: Database, stack: Stack) -> None:
    lonely = await factories.make_organization(database, agents='[[agents]]\nname = "painter"')

    async with httpx.AsyncClient(base_url=stack.base_url, headers=lonely.headers, timeout=PATIENCE) as client:
        models = (await client.get("/v1/models")).json()["data"]

    assert [model["id"] for model in models] == ["junis-orchestrator", "agent/painter"]
    assert models[0]["created"] == 0


async def test_the_openai_client_lists_and_retrieves_models(openai: AsyncOpenAI) -> None:
    models = [model async for model in openai.models.list()]

    assert [model.id for model in models] == IDS
    for model in models:
        assert await openai.models.retrieve(model.id) == model


@pytest.mark.parametrize(
    "model_id",
    ["unknown", "agent/unknown", "agent/retired", "agent/studio", "painter", "agent/PAINTER", "sim-chat", "\0"],
)
async def test_a_model_that_is_not_listed_is_not_found(openai: AsyncOpenAI, model_id: str) -> None:
    with pytest.raises(NotFoundError) as refusal:
        await openai.models.retrieve(model_id)

    assert refusal.value.body == {
        "message": f"Model not found: {model_id}",
        "type": "not_found_error",
        "code": "model_not_found",
    }


async def test_a_slash_in_a_model_name_need_not_be_escaped(team_client: httpx.AsyncClient) -> None:
    plain = await team_client.get("/v1/models/agent/painter")
    escaped = await team_client.get("/v1/models/agent%2Fpainter")

    assert plain.json() == escaped.json()
    assert plain.json()["id"] == "agent/painter"


async def test_agents_of_other_organizations_are_not_found(client: httpx.AsyncClient) -> None:
    models = (await client.get("/v1/models")).json()["data"]

    assert [model["id"] for model in models] == ["junis-orchestrator", "agent/orchestrator", "agent/writer"]
    assert (await client.get("/v1/models/agent/painter")).status_code == 404


@pytest.mark.parametrize("scope", ALL_SCOPES)
async def test_a_key_with_any_scope_may_list_models(
    stack: Stack, database: Database, team: Organization, scope: str
) -> None:
    key = await factories.make_key(database, team, scope)

    async with httpx.AsyncClient(
        base_url=stack.base_url, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE
    ) as client:
        assert (await client.get("/v1/models")).status_code == 200
        assert (await client.get("/v1/models/junis-orchestrator")).status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/junis-orchestrator", "/v1/models/unknown"])
async def test_models_are_not_listed_without_a_key(stack: Stack, path: str) -> None:
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=PATIENCE) as client:
        response = await client.get(path)

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "missing_api_key"


async def test_an_agent_is_a_model_as_soon_as_it_is_there_and_no_longer_than_it_is(
    team_client: httpx.AsyncClient, database: Database, team: Organization
) -> None:
    rename = "UPDATE agents SET name = $3 WHERE organization_id = $1 AND name = $2"
    for before, after in (("painter", "artist"), ("artist", "painter")):
        assert f"agent/{before}" in await _ids(team_client)
        async with database.transaction() as tx:
            await tx.execute(rename, team.id, before, after)

        async def is_renamed(before: str = before, after: str = after) -> bool:
            ids = await _ids(team_client)
            return f"agent/{after}" in ids and f"agent/{before}" not in ids

        # No longer than a notification takes; unheard, what is remembered would stay for ever.
        await until(is_renamed)


async def _ids(client: httpx.AsyncClient) -> list[str]:
    models = (await client.get("/v1/models")).raise_for_status().json()["data"]
    return [model["id"] for model in models]
