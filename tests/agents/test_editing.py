"""Single agents: made, changed, switched, restored and deleted, with a history of all of it."""

import asyncio
from typing import Any

import pytest

from app.agents import editing
from app.agents.editing import EditedAgent
from app.agents.entry import AgentEntry
from app.agents.errors import AgentChangedError, AgentNotFoundError, AgentRefusedError, AgentVersionNotFoundError
from app.agents.service import import_agents
from app.agents.toml import read_agents
from app.audit.actor import COMMAND_LINE, Actor, ActorKind
from app.core.database import Database
from tests import factories
from tests.agents.definitions import agent, agents_file
from tests.agents.editing import change, edited, history_of
from tests.factories import Organization

ADA = Actor(ActorKind.USER, "user-ada")


@pytest.fixture
async def team(database: Database) -> Organization:
    """The host calls the writer, who calls the editor. Nobody calls the loner."""
    return await factories.make_organization(
        database,
        agents=agents_file(
            {"name": "host", "is_orchestrator": True, "sub_agents": ["writer"]},
            agent("writer", model="sim-chat", sub_agents=["editor"], instruction="Write."),
            agent("editor", model="sim-chat"),
            agent("loner", model="sim-chat"),
        ),
    )


async def create(database: Database, team: Organization, **values: Any) -> None:
    async with database.transaction() as tx:
        await editing.create_agent(tx, team.id, AgentEntry(**values), actor=ADA)


async def restore(database: Database, team: Organization, name: str, restored: int) -> None:
    now = await edited(database, team, name)
    async with database.transaction() as tx:
        await editing.restore_version(tx, team.id, name, restored, version=now.version, actor=ADA)


async def delete(database: Database, team: Organization, name: str) -> None:
    async with database.transaction() as tx:
        await editing.delete_agent(tx, team.id, name, actor=ADA)


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


async def test_every_change_makes_a_version(database: Database, team: Organization) -> None:
    await change(database, team, "writer", instruction="Write well.")
    await change(database, team, "writer", sub_agents=["loner", "editor"])
    await change(database, team, "writer", sub_agents=["loner", "editor"])

    versions = await history_of(database, team, "writer")
    assert [(version.version, version.event) for version in versions] == [
        (1, "imported"),
        (2, "changed"),
        (3, "changed"),
    ]
    assert [version.definition["instruction"] for version in versions] == ["Write.", "Write well.", "Write well."]
    assert versions[2].definition["sub_agents"] == ["loner", "editor"]
    assert (await edited(database, team, "writer")).version == 3


async def test_the_second_of_two_changes_from_one_version_is_refused(database: Database, team: Organization) -> None:
    seen = (await edited(database, team, "writer")).version

    await change(database, team, "writer", seen, instruction="First.")
    with pytest.raises(AgentChangedError):
        await change(database, team, "writer", seen, instruction="Second.")

    assert (await edited(database, team, "writer")).entry.instruction == "First."


async def test_of_two_changes_at_the_same_time_one_is_refused(database: Database, team: Organization) -> None:
    seen = (await edited(database, team, "writer")).version

    ended = await asyncio.gather(
        *(change(database, team, "writer", seen, instruction=text) for text in ("One.", "Two.")),
        return_exceptions=True,
    )

    assert sorted(type(outcome).__name__ for outcome in ended) == ["AgentChangedError", "NoneType"]
    assert len(await history_of(database, team, "writer")) == 2


async def test_an_agent_that_is_older_than_its_history_gets_a_first_version(
    database: Database, team: Organization
) -> None:
    made = await edited(database, team, "loner")
    async with database.transaction() as tx:
        await tx.execute("ALTER TABLE agent_versions DISABLE TRIGGER agent_versions_append_only")
        await tx.execute("DELETE FROM agent_versions WHERE agent_id = $1", made.id)
        await tx.execute("ALTER TABLE agent_versions ENABLE TRIGGER agent_versions_append_only")

    await change(database, team, "loner", description="Alone.")

    versions = await history_of(database, team, "loner")
    assert [(version.version, version.event) for version in versions] == [(1, "found"), (2, "changed")]
    assert versions[0].definition["description"] == ""


async def test_a_change_that_wrote_no_history_is_kept_before_the_next_one(
    database: Database, team: Organization
) -> None:
    """As by a server of the version before, which knows no history, while both serve."""
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE agents SET instruction = 'Older.' WHERE organization_id = $1 AND name = 'writer'", team.id
        )
    seen = await edited(database, team, "writer")

    await change(database, team, "writer", seen.version, description="Writes.")

    versions = await history_of(database, team, "writer")
    assert seen.version == 2
    assert [(version.version, version.event, version.actor_kind) for version in versions] == [
        (1, "imported", "command_line"),
        (2, "found", "server"),
        (3, "changed", "user"),
    ]
    assert [version.definition["instruction"] for version in versions] == ["Write.", "Older.", "Older."]


async def test_a_change_that_wrote_no_history_is_a_conflict_with_what_was_read_before_it(
    database: Database, team: Organization
) -> None:
    seen = await edited(database, team, "writer")
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE agents SET instruction = 'Older.' WHERE organization_id = $1 AND name = 'writer'", team.id
        )

    with pytest.raises(AgentChangedError):
        await change(database, team, "writer", seen.version, description="Writes.")


async def test_history_cannot_be_changed(database: Database, team: Organization) -> None:
    with pytest.raises(Exception, match="versions of agents are only ever added"):
        async with database.transaction() as tx:
            await tx.execute("UPDATE agent_versions SET actor_id = 'nobody' WHERE organization_id = $1", team.id)


async def test_a_version_is_restored_as_a_new_one(database: Database, team: Organization) -> None:
    await change(database, team, "writer", instruction="Worse.", sub_agents=[], is_active=False)

    await restore(database, team, "writer", 1)

    now = await edited(database, team, "writer")
    assert (now.version, now.entry.instruction, now.entry.sub_agents) == (3, "Write.", ["editor"])
    # Whether it runs is no part of the text.
    assert now.entry.is_active is False
    last = (await history_of(database, team, "writer"))[-1]
    assert (last.event, last.restored_from) == ("restored", 1)


async def test_a_version_whose_parts_are_gone_is_not_restored(database: Database, team: Organization) -> None:
    await change(database, team, "writer", sub_agents=[])
    await delete(database, team, "editor")
    before = await edited(database, team, "writer")

    with pytest.raises(AgentRefusedError, match="there is no agent editor"):
        await restore(database, team, "writer", 1)
    with pytest.raises(AgentVersionNotFoundError):
        await restore(database, team, "writer", 99)

    assert await edited(database, team, "writer") == before


async def test_a_version_that_would_make_a_circle_is_not_restored(database: Database, team: Organization) -> None:
    await change(database, team, "writer", sub_agents=[])
    await change(database, team, "editor", sub_agents=["writer"])

    with pytest.raises(AgentRefusedError, match="writer → editor → writer"):
        await restore(database, team, "writer", 1)


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
