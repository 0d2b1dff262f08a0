"""Agents as TOML, the form in which operators import them."""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from app.agents import repository
from app.agents.definition import AgentType
from app.agents.errors import AgentFileError
from app.agents.models import Agent
from app.agents.tools.registry import NAMEABLE_TOOLS
from app.audit.actor import Actor
from app.audit.service import log_change
from app.core.clock import now
from app.core.database import Transaction

STARTER_AGENTS = Path(__file__).with_name("starter.toml")

# A parent calls its sub-agents as tools, and this is the form that OpenAI requires of a tool's name.
AgentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]


class AgentEntry(BaseModel):
    """`[[agents]]` of an agents file."""

    model_config = ConfigDict(extra="forbid")

    name: AgentName
    description: str = ""
    agent_type: AgentType = AgentType.LLM
    instruction: str = ""
    model: str | None = Field(default=None, min_length=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_output_tokens: int | None = Field(default=None, ge=1)
    max_llm_calls: int = Field(default=10, ge=1, le=100)
    max_iterations: int = Field(default=5, ge=1, le=100)
    max_history_tokens: int = Field(default=32_000, ge=0)
    tools: list[str] = []
    sub_agents: list[AgentName] = []
    output_key: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    is_orchestrator: bool = False
    is_active: bool = True


class AgentsFile(BaseModel):
    """A whole agents file."""

    model_config = ConfigDict(extra="forbid")

    agents: list[AgentEntry] = Field(min_length=1)


def read_agents(text: str) -> AgentsFile:
    """Parse and check an agents file.

    Raises:
        AgentFileError: the file is invalid. The message says where and why.
    """
    try:
        parsed = AgentsFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise AgentFileError(f"Not a TOML file: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(str(part) for part in first["loc"])
        raise AgentFileError(f"{location}: {first['msg'].removeprefix('Value error, ')}") from error
    _check_entries(parsed.agents)
    return parsed


async def import_agents(tx: Transaction, organization_id: str, file: AgentsFile, *, actor: Actor) -> int:
    """Add the file's agents to the organization, and update those that it already has by their names.

    Returns:
        How many agents are in the file.

    Raises:
        AgentFileError: a sub-agent does not exist, or the agents would form a cycle.
    """
    # Two concurrent imports could together create a cycle that neither of them sees.
    await repository.lock_agents(tx, organization_id)
    agents = {agent.name: agent for agent in await repository.list_agents(tx, organization_id)}
    if any(entry.is_orchestrator for entry in file.agents):
        await repository.clear_orchestrator(tx, organization_id)
    for entry in file.agents:
        agents[entry.name] = _save(tx, agents.get(entry.name), organization_id, entry)
    await tx.session.flush()
    for entry in file.agents:
        await repository.replace_links(tx, agents[entry.name].id, [_id_of(agents, name) for name in entry.sub_agents])
        log_change(tx, actor, "agent_imported", organization_id=organization_id, object_id=agents[entry.name].id)
    await _refuse_cycles(tx, organization_id, agents)
    return len(file.agents)


def _check_entries(entries: Sequence[AgentEntry]) -> None:
    repeated = [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]
    if repeated:
        raise AgentFileError(f"agents: {repeated[0]} is defined twice")
    if sum(entry.is_orchestrator for entry in entries) > 1:
        raise AgentFileError("agents: an organization has one orchestrator")
    for entry in entries:
        unknown = sorted(set(entry.tools) - set(NAMEABLE_TOOLS))
        if unknown:
            raise AgentFileError(f"{entry.name}: unknown tool {unknown[0]}. Known: {', '.join(NAMEABLE_TOOLS)}")
        if entry.name in entry.sub_agents:
            raise AgentFileError(f"sub_agents: {entry.name} is below itself")


def _save(tx: Transaction, agent: Agent | None, organization_id: str, entry: AgentEntry) -> Agent:
    if agent is None:
        agent = Agent(organization_id=organization_id)
        tx.session.add(agent)
    for name, value in entry.model_dump(exclude={"sub_agents"}).items():
        setattr(agent, name, str(value) if name == "agent_type" else value)
    agent.updated_at = now()
    return agent


def _id_of(agents: Mapping[str, Agent], name: str) -> str:
    if name not in agents:
        raise AgentFileError(f"sub_agents: there is no agent {name}")
    return agents[name].id


async def _refuse_cycles(tx: Transaction, organization_id: str, agents: Mapping[str, Agent]) -> None:
    names = {agent.id: name for name, agent in agents.items()}
    try:
        TopologicalSorter(await repository.find_sub_agents(tx, organization_id)).prepare()
    except CycleError as error:
        _, cycle = error.args
        raise AgentFileError(f"sub_agents: {names[cycle[0]]} is below itself") from None
