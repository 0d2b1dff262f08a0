from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from app.agents import repository
from app.agents.changes import planned_changes
from app.agents.definition import AgentDefinition, AgentType
from app.agents.errors import (
    AgentCycleError,
    AgentInactiveError,
    AgentNotFoundError,
    AgentNotInvocableError,
)
from app.agents.models import Agent, VersionEvent
from app.agents.saving import load_agents, save_changes
from app.agents.toml import AgentsFile
from app.audit.actor import Actor
from app.core.database import Transaction


@dataclass(frozen=True)
class ListedAgent:
    """An agent, and the ids of its sub-agents in order, active or not."""

    agent: Agent
    sub_agent_ids: Sequence[str]


async def list_agents(
    tx: Transaction, organization_id: str, *, agent_type: AgentType | None = None, is_active: bool | None = None
) -> list[ListedAgent]:
    """The organization's agents, by name. None means any type, or active and inactive ones alike."""
    found = await repository.list_agents(tx, organization_id, agent_type=agent_type, is_active=is_active)
    below = await repository.find_sub_agents(tx, organization_id)
    return [ListedAgent(agent, below.get(agent.id, [])) for agent in found]


async def get_orchestrator(tx: Transaction, organization_id: str, default_model: str) -> AgentDefinition:
    """The agent that answers the organization's chats, with everything below it.

    An agent without a model of its own gets `default_model`.

    Raises:
        AgentNotFoundError: the organization has no orchestrator.
        AgentInactiveError: it is switched off.
        AgentCycleError: the agents below it form a cycle.
    """
    orchestrator = await repository.find_orchestrator(tx, organization_id)
    if orchestrator is None:
        raise AgentNotFoundError("The organization has no orchestrator agent")
    if not orchestrator.is_active:
        raise AgentInactiveError
    return await _define(tx, orchestrator, default_model)


async def get_agent_by_name(tx: Transaction, organization_id: str, name: str, default_model: str) -> AgentDefinition:
    """An LLM agent of the organization, for a client that talks to it directly.

    Raises:
        AgentNotFoundError: the organization has no agent of that name.
        AgentInactiveError: the agent is switched off.
        AgentNotInvocableError: it is not an LLM agent.
        AgentCycleError: the agents below it form a cycle.
    """
    return await _invocable(tx, await repository.find_by_name(tx, organization_id, name), default_model)


async def get_agent(tx: Transaction, organization_id: str, agent_id: str, default_model: str) -> AgentDefinition:
    """An LLM agent of the organization by its id; see `get_agent_by_name`."""
    return await _invocable(tx, await repository.find_by_id(tx, organization_id, agent_id), default_model)


async def import_agents(tx: Transaction, organization_id: str, file: AgentsFile, *, actor: Actor) -> int:
    """Add the file's agents to the organization, and update those that it already has by their names.

    Returns:
        How many agents are in the file.

    Raises:
        AgentRefusedError: a sub-agent does not exist, or the agents would form a circle.
    """
    stored = await load_agents(tx, organization_id)
    changes = planned_changes(stored.entries, file.agents)
    await save_changes(tx, stored, changes, event=VersionEvent.IMPORTED, actor=actor)
    return len(file.agents)


async def _invocable(tx: Transaction, agent: Agent | None, default_model: str) -> AgentDefinition:
    if agent is None:
        raise AgentNotFoundError
    if not agent.is_active:
        raise AgentInactiveError
    if agent.agent_type != AgentType.LLM:
        raise AgentNotInvocableError
    return await _define(tx, agent, default_model)


async def _define(tx: Transaction, root: Agent, default_model: str) -> AgentDefinition:
    below = await repository.find_sub_agents(tx, root.organization_id)
    agents = {root.id: root}
    if below.get(root.id):
        agents |= {agent.id: agent for agent in await repository.list_agents(tx, root.organization_id)}
    used = _active_below(root.id, agents, below)
    # In this order sub-agents are built before their parents; each is built once, however many parents it has.
    built: dict[str, AgentDefinition] = {}
    try:
        for agent_id in TopologicalSorter(used).static_order():
            sub_agents = tuple(built[sub_id] for sub_id in used[agent_id])
            built[agent_id] = _definition(agents[agent_id], default_model, sub_agents)
    except CycleError as error:
        _, cycle = error.args
        raise AgentCycleError(agents[cycle[0]].name) from None
    return built[root.id]


def _active_below(
    root_id: str, agents: Mapping[str, Agent], below: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """The ids of the root and of every active agent below it, each with the ids of its active sub-agents in order."""
    used: dict[str, Sequence[str]] = {}
    waiting = [root_id]
    while waiting:
        agent_id = waiting.pop()
        if agent_id not in used:
            used[agent_id] = [sub_id for sub_id in below.get(agent_id, ()) if agents[sub_id].is_active]
            waiting += used[agent_id]
    return used


def _definition(agent: Agent, default_model: str, sub_agents: tuple[AgentDefinition, ...]) -> AgentDefinition:
    return AgentDefinition(
        id=agent.id,
        name=agent.name,
        description=agent.description,
        agent_type=AgentType(agent.agent_type),
        instruction=agent.instruction,
        model=agent.model or default_model,
        temperature=agent.temperature,
        max_output_tokens=agent.max_output_tokens,
        max_llm_calls=agent.max_llm_calls,
        max_iterations=agent.max_iterations,
        max_history_tokens=agent.max_history_tokens,
        tools=tuple(agent.tools),
        output_key=agent.output_key,
        sub_agents=sub_agents,
    )
