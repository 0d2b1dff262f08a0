"""Changes agents as the console does, for tests."""

from typing import Any

from app.agents import editing
from app.agents.editing import EditedAgent
from app.agents.models import AgentVersion
from app.audit.actor import Actor, ActorKind
from app.core.database import Database
from tests.factories import Organization

# Who makes and deletes agents here.
ADA = Actor(ActorKind.USER, "user-ada")


async def edited(database: Database, organization: Organization, name: str) -> EditedAgent:
    """The agent as somebody reads it who may want to change it."""
    async with database.transaction() as tx:
        return await editing.get_edited(tx, organization.id, name)


async def change(
    database: Database, organization: Organization, name: str, version: int | None = None, **values: Any
) -> None:
    """Change fields of an agent, from the version that it has now unless another one is given."""
    now = await edited(database, organization, name)
    entry = now.entry.model_copy(update=values)
    actor = Actor(ActorKind.USER, organization.user_id)
    async with database.transaction() as tx:
        await editing.change_agent(tx, organization.id, entry, version=version or now.version, actor=actor)


async def history_of(database: Database, organization: Organization, name: str) -> list[AgentVersion]:
    """All versions of an agent that were written, oldest first."""
    agent = await edited(database, organization, name)
    async with database.transaction() as tx:
        found = await editing.list_versions(tx, organization.id, agent.id, limit=1000)
    return list(reversed(found))


async def delete(database: Database, organization: Organization, name: str) -> None:
    """Delete an agent, as Ada."""
    async with database.transaction() as tx:
        await editing.delete_agent(tx, organization.id, name, actor=ADA)
