from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel

from app.agents.definition import AgentType
from app.agents.service import ListedAgent
from app.core.clock import Seconds


class AgentRead(BaseModel):
    """An agent in a list. Its instruction is not shown: it belongs to the operator."""

    id: str
    name: str
    description: str
    agent_type: AgentType
    model: str
    is_active: bool
    is_orchestrator: bool
    tools: list[str]
    sub_agents: list[str]
    created_at: Seconds
    updated_at: Seconds

    @classmethod
    def of(cls, listed: ListedAgent, default_model: str) -> Self:
        """The agent as the API shows it. `default_model` is shown if the agent has no model of its own."""
        agent = listed.agent
        return cls(
            id=agent.id,
            name=agent.name,
            description=agent.description,
            agent_type=AgentType(agent.agent_type),
            model=agent.model or default_model,
            is_active=agent.is_active,
            is_orchestrator=agent.is_orchestrator,
            tools=agent.tools,
            sub_agents=list(listed.sub_agent_ids),
            created_at=agent.created_at,
            updated_at=agent.updated_at,
        )


class AgentsRead(BaseModel):
    """The agents that match a request."""

    agents: list[AgentRead]
    total: int

    @classmethod
    def of(cls, found: Sequence[ListedAgent], default_model: str) -> Self:
        """The agents as the API shows them."""
        return cls(agents=[AgentRead.of(listed, default_model) for listed in found], total=len(found))
