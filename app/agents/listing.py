from collections.abc import Sequence
from dataclasses import dataclass

from app.agents import repository
from app.agents.definition import AgentType
from app.agents.models import Agent
from app.core.database import Transaction


@dataclass(frozen=True)
class ListedAgent:
    """An agent, and the ids of those below it in their order, active or not."""

    agent: Agent
    sub_agent_ids: Sequence[str]


async def list_agents(
    tx: Transaction, organization_id: str, *, agent_type: AgentType | None = None, is_active: bool | None = None
) -> list[ListedAgent]:
    """The organization's agents, by name: of one type or all, active ones, inactive ones or both."""
    found = await repository.find_agents(tx, organization_id, agent_type=agent_type, is_active=is_active)
    below = await repository.find_sub_agents(tx, organization_id)
    return [ListedAgent(agent, below.get(agent.id, [])) for agent in found]
