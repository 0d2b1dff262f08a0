"""What a chat's `model` may name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.agents import listing
from app.agents.definition import AgentType
from app.agents.models import Agent
from app.core.database import Transaction
from app.model_names.errors import ModelNotFoundError

ORCHESTRATOR_MODEL = "junis-orchestrator"
AGENT_PREFIX = "agent/"

_NO_ORCHESTRATOR_YET = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class ChatModel:
    """A name that a chat's `model` may have."""

    id: str
    created_at: datetime
    organization_id: str


async def list_models(tx: Transaction, organization_id: str) -> list[ChatModel]:
    """The organization's orchestrator, then each of its active LLM agents, by name."""
    agents = [listed.agent for listed in await listing.list_agents(tx, organization_id)]
    orchestrator = ChatModel(ORCHESTRATOR_MODEL, _orchestrator_created_at(agents), organization_id)
    invocable = [agent for agent in agents if agent.is_active and agent.agent_type == AgentType.LLM]
    return [
        orchestrator,
        *(ChatModel(AGENT_PREFIX + agent.name, agent.created_at, organization_id) for agent in invocable),
    ]


async def get_model(tx: Transaction, organization_id: str, model_id: str) -> ChatModel:
    """One of the models that `list_models` shows.

    Raises:
        ModelNotFoundError: it shows none of that id.
    """
    for model in await list_models(tx, organization_id):
        if model.id == model_id:
            return model
    raise ModelNotFoundError(model_id)


def _orchestrator_created_at(agents: Sequence[Agent]) -> datetime:
    return next((agent.created_at for agent in agents if agent.is_orchestrator), _NO_ORCHESTRATOR_YET)
