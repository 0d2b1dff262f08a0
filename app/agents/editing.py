"""What an operator does to single agents. Names never change: clients, files and instructions refer to them."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.agents import repository
from app.agents.changes import Change, callers_of, planned_changes
from app.agents.entry import AgentEntry, check_entry, stored_entry
from app.agents.errors import AgentChangedError, AgentNotFoundError, AgentRefusedError, AgentVersionNotFoundError
from app.agents.models import AgentVersion, VersionEvent
from app.agents.saving import (
    StoredAgents,
    delete_stored,
    keep_found,
    load_agents,
    read_agents,
    save_changes,
    versions_of,
)
from app.agents.toml import AgentsFile, write_agents
from app.audit.actor import Actor
from app.catalog import service as catalog
from app.core.database import Transaction

# Of a restored version. Whether an agent answers, and whether it runs, are no parts of its text.
_NOT_RESTORED = ("name", "is_orchestrator", "is_active")


@dataclass(frozen=True)
class EditedAgent:
    """An agent that somebody reads or edits.

    Attributes:
        id: its id.
        entry: the agent as it is.
        version: what a change of it has to name.
        callers: the names of the agents that have it among their sub-agents.
    """

    id: str
    entry: AgentEntry
    version: int
    callers: Sequence[str]


async def get_edited(tx: Transaction, organization_id: str, name: str) -> EditedAgent:
    """The agent of that name or id, for somebody who may want to change it.

    Raises:
        AgentNotFoundError: there is none.
    """
    stored = await read_agents(tx, organization_id)
    found = stored.agents.get(name) or next((agent for agent in stored.agents.values() if agent.id == name), None)
    if found is None:
        raise AgentNotFoundError
    numbers = await versions_of(tx, stored, [found.name])
    callers = callers_of(stored.entries, found.name)
    return EditedAgent(found.id, stored.entries[found.name], numbers[found.name], callers)


async def list_entries(tx: Transaction, organization_id: str) -> dict[str, AgentEntry]:
    """The organization's agents as an operator writes them, by name."""
    return dict((await read_agents(tx, organization_id)).entries)


async def create_agent(tx: Transaction, organization_id: str, entry: AgentEntry, *, actor: Actor) -> None:
    """Add an agent to the organization.

    Raises:
        AgentRefusedError: its name is taken, it names what does not exist, or the agents would form a circle.
    """
    stored = await load_agents(tx, organization_id)
    if entry.name in stored.agents:
        raise AgentRefusedError(f"There is an agent {entry.name} already", param="name")
    await _save(tx, stored, entry, VersionEvent.CREATED, actor)


async def change_agent(tx: Transaction, organization_id: str, entry: AgentEntry, *, version: int, actor: Actor) -> None:
    """Make the agent of the entry's name what the entry says.

    Args:
        tx: the transaction.
        organization_id: whose agent it is.
        entry: the agent's new definition.
        version: the version that the change was made from.
        actor: who changes it.

    Raises:
        AgentNotFoundError: there is no such agent.
        AgentChangedError: it has another version by now.
        AgentRefusedError: see `create_agent`; or it is the orchestrator, which has to stay, and to stay active.
    """
    stored = await _load_at(tx, organization_id, entry.name, version)
    await _save(tx, stored, entry, VersionEvent.CHANGED, actor)


async def switch_agent(
    tx: Transaction, organization_id: str, name: str, *, is_active: bool, version: int, actor: Actor
) -> None:
    """Switch an agent on or off; see `change_agent`. One that is off is left out by those that call it."""
    stored = await _load_at(tx, organization_id, name, version)
    entry = stored.entries[name].model_copy(update={"is_active": is_active})
    await _save(tx, stored, entry, VersionEvent.CHANGED, actor)


async def set_orchestrator(tx: Transaction, organization_id: str, name: str, *, version: int, actor: Actor) -> None:
    """Have an agent answer the organization's chats in place of the one that does; see `change_agent`."""
    stored = await _load_at(tx, organization_id, name, version)
    entry = stored.entries[name].model_copy(update={"is_orchestrator": True})
    await _save(tx, stored, entry, VersionEvent.CHANGED, actor)


async def delete_agent(tx: Transaction, organization_id: str, name: str, *, actor: Actor) -> None:
    """Delete an agent. Sessions, content and charges go on naming it, and its history stays in the database.

    Raises:
        AgentNotFoundError: there is no such agent.
        AgentRefusedError: it is the orchestrator, or another agent calls it.
    """
    stored = await load_agents(tx, organization_id)
    if name not in stored.agents:
        raise AgentNotFoundError
    refusal = why_kept(stored.entries[name], callers_of(stored.entries, name))
    if refusal:
        raise AgentRefusedError(refusal)
    await delete_stored(tx, stored, name, actor=actor)


async def restore_version(
    tx: Transaction, organization_id: str, name: str, restored: int, *, version: int, actor: Actor
) -> None:
    """Make an agent what it was in one of its versions, as a new version; see `change_agent`.

    Whether it is the orchestrator and whether it is active stay as they are.

    Raises:
        AgentVersionNotFoundError: it has no version `restored`.
        AgentRefusedError: a tool, a model or a sub-agent of that version does not exist any more, or calls it now.
    """
    stored = await _load_at(tx, organization_id, name, version)
    found = await repository.find_version(tx, organization_id, stored.agents[name].id, restored)
    if found is None:
        raise AgentVersionNotFoundError
    now = stored.entries[name]
    kept = {field: getattr(now, field) for field in _NOT_RESTORED}
    entry = stored_entry(found.definition).model_copy(update=kept)
    await _save(tx, stored, entry, VersionEvent.RESTORED, actor, restored_from=restored)


async def list_versions(
    tx: Transaction, organization_id: str, agent_id: str, *, before: int | None = None, limit: int
) -> Sequence[AgentVersion]:
    """Versions of an agent, newest first: those before a version, or the newest."""
    return await repository.list_versions(tx, organization_id, agent_id, before=before, limit=limit)


async def preview_import(tx: Transaction, organization_id: str, file: AgentsFile) -> list[Change]:
    """What an import of the file would change now; see `app.agents.service.import_agents`."""
    return planned_changes((await read_agents(tx, organization_id)).entries, file.agents)


async def export_agents(tx: Transaction, organization_id: str) -> str:
    """All agents of the organization as a file that can be imported, by name."""
    return write_agents((await list_entries(tx, organization_id)).values())


def why_kept(entry: AgentEntry, callers: Sequence[str]) -> str | None:
    """Why an agent cannot be deleted; None if it can."""
    if entry.is_orchestrator:
        return f"{entry.name} is the orchestrator: without it every chat is refused. Choose another one first"
    if callers:
        return f"{', '.join(callers)} may call {entry.name}: take it out of the sub-agents there first"
    return None


async def _load_at(tx: Transaction, organization_id: str, name: str, version: int) -> StoredAgents:
    stored = await load_agents(tx, organization_id)
    if name not in stored.agents:
        raise AgentNotFoundError
    await keep_found(tx, stored, [name])
    if stored.agents[name].version != version:
        raise AgentChangedError
    return stored


async def _save(
    tx: Transaction,
    stored: StoredAgents,
    entry: AgentEntry,
    event: VersionEvent,
    actor: Actor,
    restored_from: int | None = None,
) -> None:
    before = stored.entries.get(entry.name)
    check_entry(entry)
    _check_role(before, entry)
    if entry.model and (before is None or entry.model != before.model):
        await _check_model(tx, entry.model)
    changes = planned_changes(stored.entries, [entry])
    await save_changes(tx, stored, changes, event=event, actor=actor, restored_from=restored_from)


def _check_role(before: AgentEntry | None, entry: AgentEntry) -> None:
    was_active = before is None or before.is_active
    if before is not None and before.is_orchestrator and not entry.is_orchestrator:
        raise AgentRefusedError(
            f"{entry.name} is the orchestrator until another agent is made it", param="is_orchestrator"
        )
    if entry.is_orchestrator and not entry.is_active and (was_active or not (before and before.is_orchestrator)):
        raise AgentRefusedError(
            f"{entry.name} is off: as the orchestrator it would refuse every chat", param="is_active"
        )


async def _check_model(tx: Transaction, model: str) -> None:
    if not await catalog.is_chat_model_priced(tx, model):
        raise AgentRefusedError(f"The catalog has no chat model {model} with a price", param="model")
