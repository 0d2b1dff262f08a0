from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import and_, delete, select, update
from sqlalchemy.orm import aliased

from app.agents.definition import AgentType
from app.agents.models import Agent, AgentVersion, SubAgent
from app.core.database import Transaction
from app.core.json import storable_text

_LOCK_AGENTS = "SELECT pg_advisory_xact_lock(hashtextextended('agents:' || $1, 0))"


async def find_orchestrator(tx: Transaction, organization_id: str) -> Agent | None:
    """The agent that answers the organization's chats."""
    query = select(Agent).where(Agent.organization_id == organization_id, Agent.is_orchestrator)
    return (await tx.session.scalars(query)).first()


async def find_by_name(tx: Transaction, organization_id: str, name: str) -> Agent | None:
    """The organization's agent of that name."""
    query = select(Agent).where(Agent.organization_id == organization_id, Agent.name == storable_text(name))
    return (await tx.session.scalars(query)).first()


async def find_by_id(tx: Transaction, organization_id: str, agent_id: str) -> Agent | None:
    """The organization's agent of that id."""
    query = select(Agent).where(Agent.organization_id == organization_id, Agent.id == storable_text(agent_id))
    return (await tx.session.scalars(query)).first()


async def list_agents(
    tx: Transaction, organization_id: str, *, agent_type: AgentType | None = None, is_active: bool | None = None
) -> Sequence[Agent]:
    """The organization's agents, by name. None means any type, or active and inactive ones alike."""
    query = select(Agent).where(Agent.organization_id == organization_id).order_by(Agent.name)
    if agent_type is not None:
        query = query.where(Agent.agent_type == agent_type)
    if is_active is not None:
        query = query.where(Agent.is_active == is_active)
    return (await tx.session.scalars(query)).all()


async def find_sub_agents(tx: Transaction, organization_id: str) -> dict[str, list[str]]:
    """The ids of the organization's agents that have sub-agents, each with the ids of its sub-agents in order."""
    # Of both, so that no link could lead to another organization's agent.
    sub_agent = aliased(Agent)
    query = (
        select(SubAgent.agent_id, SubAgent.sub_agent_id)
        .join(Agent, Agent.id == SubAgent.agent_id)
        .join(sub_agent, sub_agent.id == SubAgent.sub_agent_id)
        .where(Agent.organization_id == organization_id, sub_agent.organization_id == organization_id)
        .order_by(SubAgent.agent_id, SubAgent.position)
    )
    below: dict[str, list[str]] = {}
    for agent_id, sub_agent_id in await tx.session.execute(query):
        below.setdefault(agent_id, []).append(sub_agent_id)
    return below


async def lock_agents(tx: Transaction, organization_id: str) -> None:
    """Wait for any other transaction that has locked the organization's agents, then lock them until this one ends."""
    await tx.execute(_LOCK_AGENTS, organization_id)


async def clear_orchestrator(tx: Transaction, organization_id: str) -> None:
    """Take the role from the organization's orchestrator, so that another agent can have it."""
    statement = update(Agent).where(Agent.organization_id == organization_id, Agent.is_orchestrator)
    await tx.session.execute(statement.values(is_orchestrator=False))


async def save_agents(tx: Transaction, agents: Iterable[Agent]) -> None:
    """Write agents that are new or were changed."""
    tx.session.add_all(agents)
    await tx.session.flush()


async def replace_links(tx: Transaction, agent_id: str, sub_agent_ids: Sequence[str]) -> None:
    """Make these the agent's sub-agents, in this order, in place of those that it had."""
    await tx.session.execute(delete(SubAgent).where(SubAgent.agent_id == agent_id))
    tx.session.add_all(
        SubAgent(agent_id=agent_id, position=position, sub_agent_id=sub_agent_id)
        for position, sub_agent_id in enumerate(sub_agent_ids)
    )
    await tx.session.flush()


async def delete_agent(tx: Transaction, organization_id: str, agent_id: str) -> None:
    """Delete an agent and the links to its sub-agents. Its versions stay."""
    await tx.session.execute(delete(Agent).where(Agent.organization_id == organization_id, Agent.id == agent_id))


async def find_current_versions(
    tx: Transaction, organization_id: str, agent_ids: Collection[str]
) -> dict[str, AgentVersion]:
    """The versions that these agents have now, by the agents' ids. Those whose version was not written are absent."""
    query = (
        select(AgentVersion)
        .join(Agent, and_(Agent.id == AgentVersion.agent_id, Agent.version == AgentVersion.version))
        .where(Agent.organization_id == organization_id, Agent.id.in_(agent_ids))
    )
    return {version.agent_id: version for version in await tx.session.scalars(query)}


async def find_version(tx: Transaction, organization_id: str, agent_id: str, version: int) -> AgentVersion | None:
    """One version of an agent."""
    query = select(AgentVersion).where(
        AgentVersion.organization_id == organization_id,
        AgentVersion.agent_id == agent_id,
        AgentVersion.version == version,
    )
    return (await tx.session.scalars(query)).first()


async def list_versions(
    tx: Transaction, organization_id: str, agent_id: str, *, before: int | None, limit: int
) -> Sequence[AgentVersion]:
    """Versions of an agent, newest first: those before a version, or the newest."""
    query = select(AgentVersion).where(
        AgentVersion.organization_id == organization_id, AgentVersion.agent_id == agent_id
    )
    if before is not None:
        query = query.where(AgentVersion.version < before)
    return (await tx.session.scalars(query.order_by(AgentVersion.version.desc()).limit(limit))).all()


async def add_versions(tx: Transaction, versions: Iterable[AgentVersion]) -> None:
    """Add versions of agents."""
    tx.session.add_all(versions)
    await tx.session.flush()
