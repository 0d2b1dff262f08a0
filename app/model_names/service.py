"""The names that a chat's `model` may have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.agents import service as agents
from app.agents.definition import AgentType
from app.agents.models import Agent
from app.core.database import Transaction

ORCHESTRATOR_MODEL = "junis-orchestrator"
AGENT_PREFIX = "agent/"

_NO_ORCHESTRATOR_YET = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class ModelName:
    """One of the names that a chat's `model` may have."""

    id: str
    created_at: datetime
    organization_id: str


async def list_models(tx: Transaction, organization_id: str) -> list[ModelName]:
    """The organization's orchestrator, then its active LLM agents by name."""
    found = [listed.agent for listed in await agents.list_agents(tx, organization_id)]
    orchestrator = ModelName(ORCHESTRATOR_MODEL, _orchestrator_created_at(found), organization_id)
    invocable = [agent for agent in found if agent.is_active and agent.agent_type == AgentType.LLM]
    return [
        orchestrator,
        *(ModelName(AGENT_PREFIX + agent.name, agent.created_at, organization_id) for agent in invocable),
    ]


def _orchestrator_created_at(agents: Sequence[Agent]) -> datetime:
    return next((agent.created_at for agent in agents if agent.is_orchestrator), _NO_ORCHESTRATOR_YET)
