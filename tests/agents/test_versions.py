"""The history of an agent: every change makes a version, and one can be restored."""

import asyncio

import pytest

from app.agents import editing
from app.agents.errors import AgentChangedError, AgentRefusedError, AgentVersionNotFoundError
from app.core.database import Database
from tests.agents.editing import ADA, change, delete, edited, history_of
from tests.factories import Organization


async def restore(database: Database, team: Organization, name: str, restored: int) -> None:
    now = await edited(database, team, name)
    async with database.transaction() as tx:
        await editing.restore_version(tx, team.id, name, restored, version=now.version, actor=ADA)


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
