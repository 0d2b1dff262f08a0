"""Single agents: made, changed, switched, restored and deleted, and imported."""

from typing import Any

import pytest

from app.agents import editing
from app.agents.editing import EditedAgent
from app.agents.entry import AgentEntry
from app.agents.errors import AgentNotFoundError, AgentRefusedError
from app.agents.service import import_agents
from app.agents.toml import read_agents
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from tests import factories
from tests.agents.definitions import agent, agents_file
from tests.agents.editing import ADA, change, delete, edited, history_of
from tests.factories import Organization


async def create(database: Database, team: Organization, **values: Any) -> None:
    async with database.transaction() as tx:
        await editing.create_agent(tx, team.id, AgentEntry(**values), actor=ADA)


async def test_a_new_agent_has_its_first_version(database: Database, team: Organization) -> None:
    await create(database, team, name="poet", model="sim-chat", sub_agents=["editor", "loner", "editor"])

    made = await edited(database, team, "poet")
    assert (made.version, made.entry.sub_agents, made.callers) == (1, ["editor", "loner", "editor"], [])
    (version,) = await history_of(database, team, "poet")
    assert (version.event, version.actor_kind, version.actor_id) == ("created", "user", "user-ada")
    assert version.definition == made.entry.to_json()


@pytest.mark.parametrize(
    ("values", "param", "said"),
    [
        ({"name": "writer"}, "name", "There is an agent writer already"),
        ({"name": "replicate_generate"}, "name", "is the name of a tool"),
        ({"name": "poet", "tools": ["hammer"]}, "tools", "unknown tool hammer"),
        ({"name": "poet", "model": "no-such-model"}, "model", "no chat model no-such-model"),
        ({"name": "poet", "model": "simulator/image"}, "model", "no chat model simulator/image"),
        ({"name": "poet", "sub_agents": ["nobody"]}, "sub_agents", "there is no agent nobody"),
        ({"name": "poet", "sub_agents": ["poet"]}, "sub_agents", "poet → poet"),
        ({"name": "poet", "is_orchestrator": True, "is_active": False}, "is_active", "would refuse every chat"),
    ],
)
async def test_an_agent_that_cannot_be_is_refused(
    database: Database, team: Organization, values: dict[str, Any], param: str, said: str
) -> None:
    with pytest.raises(AgentRefusedError) as refusal:
        await create(database, team, **values)

    assert (refusal.value.param, said in refusal.value.text) == (param, True)


async def test_a_circle_is_refused_with_the_way_it_takes(database: Database, team: Organization) -> None:
    with pytest.raises(AgentRefusedError, match="editor → writer → editor") as refusal:
        await change(database, team, "editor", sub_agents=["writer"])
    with pytest.raises(AgentRefusedError, match="editor → host → writer → editor"):
        await change(database, team, "editor", sub_agents=["loner", "host"])

    assert refusal.value.param == "sub_agents"
    assert (await edited(database, team, "editor")).entry.sub_agents == []


async def test_a_new_orchestrator_takes_the_role_and_both_have_it_in_their_history(
    database: Database, team: Organization
) -> None:
    loner = await edited(database, team, "loner")

    async with database.transaction() as tx:
        await editing.set_orchestrator(tx, team.id, "loner", version=loner.version, actor=ADA)

    host = await edited(database, team, "host")
    assert (host.entry.is_orchestrator, host.version) == (False, 2)
    assert (await edited(database, team, "loner")).entry.is_orchestrator
    assert [version.event for version in await history_of(database, team, "host")] == ["imported", "changed"]


async def test_the_orchestrator_stays_and_stays_on(database: Database, team: Organization) -> None:
    with pytest.raises(AgentRefusedError, match="until another agent is made it"):
        await change(database, team, "host", is_orchestrator=False)
    with pytest.raises(AgentRefusedError, match="would refuse every chat"):
        await change(database, team, "host", is_active=False)
    with pytest.raises(AgentRefusedError, match="Choose another one first"):
        await delete(database, team, "host")

    assert (await edited(database, team, "host")).version == 1


async def test_an_agent_is_switched_off_and_on(database: Database, team: Organization) -> None:
    seen: list[EditedAgent] = []
    for is_active in (False, True):
        now = await edited(database, team, "writer")
        async with database.transaction() as tx:
            await editing.switch_agent(tx, team.id, "writer", is_active=is_active, version=now.version, actor=ADA)
        seen.append(await edited(database, team, "writer"))

    assert [(agent.entry.is_active, agent.version) for agent in seen] == [(False, 2), (True, 3)]


async def test_only_an_agent_that_nobody_calls_is_deleted(database: Database, team: Organization) -> None:
    gone = await edited(database, team, "loner")
    with pytest.raises(AgentRefusedError, match="writer may call editor"):
        await delete(database, team, "editor")

    await delete(database, team, "loner")

    with pytest.raises(AgentNotFoundError):
        await edited(database, team, "loner")
    async with database.transaction() as tx:
        versions = await editing.list_versions(tx, team.id, gone.id, limit=10)
    assert [(version.event, version.actor_id) for version in versions] == [
        ("deleted", "user-ada"),
        ("imported", None),
    ]
    await create(database, team, name="loner")
    assert (await edited(database, team, "loner")).id != gone.id


async def test_another_organizations_agents_are_out_of_reach(database: Database, team: Organization) -> None:
    stranger = await factories.make_organization(database, agents=agents_file({"name": "x", "is_orchestrator": True}))
    theirs = await edited(database, team, "loner")

    for name in ("loner", theirs.id):
        with pytest.raises(AgentNotFoundError):
            await edited(database, stranger, name)
        with pytest.raises(AgentNotFoundError):
            await delete(database, stranger, name)
    async with database.transaction() as tx:
        assert await editing.list_versions(tx, stranger.id, theirs.id, limit=10) == []


async def test_an_import_writes_versions_of_what_it_changes_alone(database: Database, team: Organization) -> None:
    text = agents_file(
        agent("loner", model="sim-chat"), agent("editor", model="sim-chat", instruction="Edit."), agent("new")
    )

    async with database.transaction() as tx:
        planned = await editing.preview_import(tx, team.id, read_agents(text))
    async with database.transaction() as tx:
        await import_agents(tx, team.id, read_agents(text), actor=COMMAND_LINE)

    assert [(each.name, each.before is None) for each in planned] == [("editor", False), ("new", True)]
    assert [len(await history_of(database, team, name)) for name in ("loner", "editor", "new")] == [1, 2, 1]
