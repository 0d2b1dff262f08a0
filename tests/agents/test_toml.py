"""Imports of agents as TOML: what is accepted, what is refused, and what changes."""

import asyncio
from typing import Any

import httpx
import pytest

from app.agents import service as agents
from app.agents import toml as files
from app.agents.definition import AgentDefinition, AgentType
from app.agents.errors import AgentFileError
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from tests import factories
from tests.agents.definitions import agent, agents_file, make_team
from tests.chat.asking import ask
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization

HOST = {"name": "host", "is_orchestrator": True}


@pytest.fixture
async def organization(database: Database) -> Organization:
    return await factories.make_organization(database, agents=agents_file(HOST))


async def load(database: Database, organization: Organization, *entries: dict[str, Any]) -> int:
    async with database.transaction() as tx:
        return await agents.import_agents(
            tx, organization.id, files.read_agents(agents_file(*entries)), actor=COMMAND_LINE
        )


def uses(name: str, *sub_agents: str) -> dict[str, Any]:
    return {"name": name, "sub_agents": [*sub_agents]}


async def until_ended_or_waiting(database: Database, task: asyncio.Task[int]) -> None:
    """Wait until the task has ended, or its transaction waits for another one."""
    while not task.done():
        async with database.transaction() as tx:
            if await tx.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"):
                return
        await asyncio.sleep(0.02)


async def orchestrator_of(database: Database, organization: Organization) -> AgentDefinition:
    async with database.transaction() as tx:
        return await agents.get_orchestrator(tx, organization.id, "the-default")


async def names_of(database: Database, organization: Organization) -> list[str]:
    async with database.transaction() as tx:
        return [listed.agent.name for listed in await agents.list_agents(tx, organization.id)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agents = [", "Not a TOML file"),
        ("", "agents"),
        ("agents = []", "agents"),
        ('[[agents]]\nname = "a"\nsurprise = 1', "agents.0.surprise"),
        ('[[agents]]\nname = "two words"', "agents.0.name"),
        ('[[agents]]\nname = "a"\nagent_type = "CHOIR"', "agents.0.agent_type"),
        ('[[agents]]\nname = "a"\ntemperature = 2.5', "agents.0.temperature"),
        ('[[agents]]\nname = "a"\nmax_llm_calls = 0', "agents.0.max_llm_calls"),
        ('[[agents]]\nname = "a"\nmax_iterations = 101', "agents.0.max_iterations"),
        ('[[agents]]\nname = "a"\nmax_history_tokens = -1', "agents.0.max_history_tokens"),
        ('[[agents]]\nname = "a"\noutput_key = "two words"', "agents.0.output_key"),
        ('[[agents]]\nname = "a"\ntools = ["hammer"]', "a: unknown tool hammer"),
        ('[[agents]]\nname = "a"\n[[agents]]\nname = "a"', "a is defined twice"),
        ('[[agents]]\nname = "replicate_generate"', "replicate_generate is the name of a tool"),
        ('[[agents]]\nname = "exit_loop"', "exit_loop is the name of a tool"),
    ],
)
def test_an_invalid_file_is_refused_with_the_location(text: str, said: str) -> None:
    with pytest.raises(AgentFileError) as refusal:
        files.read_agents(text)

    assert said in refusal.value.text


def test_a_second_orchestrator_is_refused() -> None:
    with pytest.raises(AgentFileError, match="only one agent may be the orchestrator"):
        files.read_agents(agents_file(HOST, {"name": "other", "is_orchestrator": True}))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([{"name": "a", "sub_agents": ["nobody"]}], "there is no agent nobody"),
        ([{"name": "a", "sub_agents": ["a"]}], "a is its own sub-agent"),
        ([{"name": "a", "sub_agents": ["b"]}, {"name": "b", "sub_agents": ["a"]}], "is its own sub-agent"),
        (
            [
                {"name": "a", "sub_agents": ["b"]},
                {"name": "b", "sub_agents": ["c"]},
                {"name": "c", "sub_agents": ["host", "a"]},
            ],
            "is its own sub-agent",
        ),
        ([{"name": "host", "sub_agents": ["a"]}, {"name": "a", "sub_agents": ["host"]}], "is its own sub-agent"),
    ],
)
async def test_unknown_and_circular_sub_agents_are_refused(
    database: Database, organization: Organization, entries: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(AgentFileError) as refusal:
        await load(database, organization, *entries)

    assert said in refusal.value.text
    assert await names_of(database, organization) == ["host"]


async def test_a_sub_agent_of_two_agents_is_not_a_circle(database: Database, organization: Organization) -> None:
    await load(
        database,
        organization,
        {"name": "host", "is_orchestrator": True, "sub_agents": ["left", "right"]},
        {"name": "left", "sub_agents": ["shared"]},
        {"name": "right", "sub_agents": ["shared", "shared"]},
        {"name": "shared"},
    )

    tree = [agent.name for agent in (await orchestrator_of(database, organization)).tree()]
    assert tree == ["host", "left", "shared", "right"]


async def test_an_agent_that_can_be_reached_in_many_ways_is_visited_once(
    database: Database, organization: Organization
) -> None:
    """Each agent of a pair uses both of the next pair, so the number of ways doubles with every pair."""
    pairs = [[f"left-{number}", f"right-{number}"] for number in range(60)]
    below = [*pairs[1:], []]
    links = [(name, sub_agents) for pair, sub_agents in zip(pairs, below, strict=True) for name in pair]

    await load(
        database,
        organization,
        {"name": "host", "is_orchestrator": True, "sub_agents": pairs[0]},
        *(uses(name, *sub_agents) for name, sub_agents in links),
    )

    assert len(list((await orchestrator_of(database, organization)).tree())) == 121
    with pytest.raises(AgentFileError, match="is its own sub-agent"):
        await load(database, organization, {"name": "left-59", "sub_agents": ["host"]})


async def test_two_imports_at_the_same_time_cannot_make_a_circle(
    database: Database, organization: Organization
) -> None:
    await load(database, organization, {"name": "poet"}, {"name": "critic"})
    async with database.transaction() as tx:
        await agents.import_agents(
            tx, organization.id, files.read_agents(agents_file(uses("poet", "critic"))), actor=COMMAND_LINE
        )
        second = asyncio.create_task(load(database, organization, uses("critic", "poet")))
        await until_ended_or_waiting(database, second)

    with pytest.raises(AgentFileError, match="is its own sub-agent"):
        await second


async def test_a_circle_in_the_database_is_reported(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(
        database,
        agent("host", sub_agents=["poet"]),
        agent("poet", sub_agents=["critic"]),
        agent("critic"),
        agent("loner"),
    )
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO sub_agents (agent_id, position, sub_agent_id) SELECT critic.id, 0, poet.id "
            "FROM agents critic, agents poet WHERE critic.organization_id = $1 AND poet.organization_id = $1 "
            "AND critic.name = 'critic' AND poet.name = 'poet'",
            team.id,
        )

    refused = await ask(http, team, "Hello")
    elsewhere = await ask(http, team, "Hello", model="agent/loner")

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "agent_not_invocable")
    assert "is its own sub-agent" in refused.json()["error"]["message"]
    assert elsewhere.status_code == 200
    assert [call["model"] for call in upstream.calls()] == ["loner-model"]


async def test_an_import_updates_agents_by_their_names(database: Database, organization: Organization) -> None:
    before = await orchestrator_of(database, organization)
    await load(database, organization, {"name": "poet"}, {"name": "critic"})

    count = await load(
        database,
        organization,
        {
            "name": "host",
            "is_orchestrator": True,
            "agent_type": "LOOP_AGENT",
            "description": "Runs the others.",
            "model": "a-model",
            "max_iterations": 7,
            "sub_agents": ["critic", "poet"],
            "output_key": "text",
        },
    )

    after = await orchestrator_of(database, organization)
    assert count == 1
    assert after.id == before.id
    assert (after.agent_type, after.model, after.max_iterations) == (AgentType.LOOP, "a-model", 7)
    assert [agent.name for agent in after.sub_agents] == ["critic", "poet"]
    assert after.sub_agents[0].model == "the-default"

    # Fields that an entry leaves out return to their defaults; agents that the file does not name stay.
    await load(database, organization, {"name": "host", "is_orchestrator": True, "sub_agents": ["poet"]})
    last = await orchestrator_of(database, organization)
    assert (last.agent_type, last.model, last.max_iterations, last.output_key) == (
        AgentType.LLM,
        "the-default",
        5,
        None,
    )
    assert [agent.name for agent in last.sub_agents] == ["poet"]
    assert await names_of(database, organization) == ["critic", "host", "poet"]


async def test_a_new_orchestrator_replaces_the_old_one(database: Database, organization: Organization) -> None:
    await load(database, organization, {"name": "other", "is_orchestrator": True})

    assert (await orchestrator_of(database, organization)).name == "other"
    assert await names_of(database, organization) == ["host", "other"]


async def test_an_inactive_agent_does_not_run(database: Database, organization: Organization) -> None:
    await load(
        database,
        organization,
        {"name": "host", "is_orchestrator": True, "sub_agents": ["awake", "asleep"]},
        {"name": "awake"},
        {"name": "asleep", "is_active": False},
    )

    assert [agent.name for agent in (await orchestrator_of(database, organization)).sub_agents] == ["awake"]


async def test_another_organizations_agents_are_out_of_reach(database: Database, organization: Organization) -> None:
    await load(database, organization, {"name": "poet"})
    other = await factories.make_organization(database, agents=agents_file(HOST))

    with pytest.raises(AgentFileError, match="there is no agent poet"):
        await load(database, other, {"name": "host", "sub_agents": ["poet"]})
    assert await names_of(database, organization) == ["host", "poet"]
