"""Writes changes of agents, with the versions that they make and the audit of who made them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.agents import repository
from app.agents.changes import Change
from app.agents.differences import changed_values
from app.agents.entry import AgentEntry, entry_of, stored_entry
from app.agents.models import Agent, AgentVersion, VersionEvent
from app.audit.actor import SERVER, Actor
from app.audit.service import log_change
from app.core.clock import now
from app.core.database import Transaction


@dataclass(frozen=True)
class StoredAgents:
    """An organization's agents and their entries, by name. Nobody else changes them until the transaction ends."""

    organization_id: str
    agents: dict[str, Agent]
    entries: Mapping[str, AgentEntry] = field(repr=False)


async def read_agents(tx: Transaction, organization_id: str) -> StoredAgents:
    """The organization's agents as they are now, which may change at any moment; see `load_agents`."""
    agents = await repository.list_agents(tx, organization_id)
    below = await repository.find_sub_agents(tx, organization_id)
    names = {agent.id: agent.name for agent in agents}
    entries = {agent.name: entry_of(agent, [names[called] for called in below.get(agent.id, ())]) for agent in agents}
    return StoredAgents(organization_id, {agent.name: agent for agent in agents}, entries)


async def load_agents(tx: Transaction, organization_id: str) -> StoredAgents:
    """Wait until nobody else changes the organization's agents, then lock and read them."""
    # Two changes at once could together make a circle that neither of them sees.
    await repository.lock_agents(tx, organization_id)
    return await read_agents(tx, organization_id)


async def versions_of(tx: Transaction, stored: StoredAgents, names: Sequence[str]) -> dict[str, int]:
    """The versions of these agents, by name, as `keep_found` would write them.

    An agent that differs from its history has the version after the last one that was written.
    """
    ids = [stored.agents[name].id for name in names]
    written = await repository.find_current_versions(tx, stored.organization_id, ids)
    return {name: _version_of(stored, name, written.get(stored.agents[name].id)) for name in names}


async def keep_found(tx: Transaction, stored: StoredAgents, names: Sequence[str]) -> None:
    """Write a version for each of these agents that has none, or differs from its last one.

    Such agents are older than the history, or were changed by what does not write it: an older version of the server,
    or somebody in the database.
    """
    ids = [stored.agents[name].id for name in names]
    written = await repository.find_current_versions(tx, stored.organization_id, ids)
    versions = []
    for name in names:
        agent = stored.agents[name]
        number = _version_of(stored, name, written.get(agent.id))
        if agent.id not in written or number != agent.version:
            agent.version = number
            versions.append(_version(agent, stored.entries[name], VersionEvent.FOUND, SERVER))
    await repository.add_versions(tx, versions)


async def save_changes(
    tx: Transaction,
    stored: StoredAgents,
    changes: Sequence[Change],
    *,
    event: VersionEvent,
    actor: Actor,
    restored_from: int | None = None,
) -> None:
    """Write changes to agents that were loaded in this transaction.

    Args:
        tx: the transaction.
        stored: the agents as they were loaded.
        changes: what is to change. An agent that only loses the role of the orchestrator has been *changed*, whatever
            has happened to the others.
        event: what happens.
        actor: who changes the agents.
        restored_from: the version that is restored, if one is.
    """
    await keep_found(tx, stored, [change.name for change in changes if change.before])
    if any(change.after.is_orchestrator for change in changes):
        await repository.clear_orchestrator(tx, stored.organization_id)
    for change in changes:
        agent = stored.agents.get(change.name) or Agent(organization_id=stored.organization_id, version=0)
        stored.agents[change.name] = _set(agent, change.after)
    await repository.save_agents(tx, [stored.agents[change.name] for change in changes])
    versions = []
    for change in changes:
        agent = stored.agents[change.name]
        if change.before is None or change.before.sub_agents != change.after.sub_agents:
            below = [stored.agents[name].id for name in change.after.sub_agents]
            await repository.replace_links(tx, agent.id, below)
        what = VersionEvent.CHANGED if _only_displaced(change) else event
        versions.append(_version(agent, change.after, what, actor, restored_from))
        before, after = changed_values(change.before, change.after)
        _log(tx, actor, what, stored.organization_id, change.name, before, after)
    await repository.add_versions(tx, versions)


async def delete_stored(tx: Transaction, stored: StoredAgents, name: str, *, actor: Actor) -> None:
    """Delete an agent that no other one calls. Its last version says who deleted it."""
    await keep_found(tx, stored, [name])
    agent = stored.agents[name]
    agent.version += 1
    last = _version(agent, stored.entries[name], VersionEvent.DELETED, actor)
    await repository.add_versions(tx, [last])
    await repository.delete_agent(tx, stored.organization_id, agent.id)
    before, after = changed_values(stored.entries[name], None)
    _log(tx, actor, VersionEvent.DELETED, stored.organization_id, name, before, after)


def _version_of(stored: StoredAgents, name: str, written: AgentVersion | None) -> int:
    number = stored.agents[name].version
    if written is None:
        return number
    return number if stored_entry(written.definition) == stored.entries[name] else number + 1


def _version(
    agent: Agent, entry: AgentEntry, event: VersionEvent, actor: Actor, restored_from: int | None = None
) -> AgentVersion:
    return AgentVersion(
        agent_id=agent.id,
        version=agent.version,
        organization_id=agent.organization_id,
        definition=entry.to_json(),
        event=event.value,
        restored_from=restored_from if event is VersionEvent.RESTORED else None,
        actor_kind=actor.kind.value,
        actor_id=actor.id,
    )


def _set(agent: Agent, entry: AgentEntry) -> Agent:
    for name, value in entry.model_dump(exclude={"sub_agents"}).items():
        setattr(agent, name, str(value) if name == "agent_type" else value)
    agent.version += 1
    agent.updated_at = now()
    return agent


def _only_displaced(change: Change) -> bool:
    before, after = change.before, change.after
    return before is not None and before.model_copy(update={"is_orchestrator": False}) == after


def _log(
    tx: Transaction,
    actor: Actor,
    event: VersionEvent,
    organization_id: str,
    name: str,
    before: Mapping[str, object],
    after: Mapping[str, object],
) -> None:
    log_change(
        tx,
        actor,
        f"agent_{event.value}",
        organization_id=organization_id,
        object_id=name,
        before={"name": name, **before} if before else None,
        after={"name": name, **after} if after else None,
    )
