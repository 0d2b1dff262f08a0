"""The names that a chat's `model` may have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.core.database import Transaction
from app.model_names import repository
from app.model_names.errors import ModelNotFoundError
from app.model_names.repository import NamedAgent

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
    found = await repository.list_agents(tx, organization_id)
    orchestrator = ModelName(ORCHESTRATOR_MODEL, _orchestrator_created_at(found), organization_id)
    invocable = [agent for agent in found if agent.is_invocable]
    return [
        orchestrator,
        *(ModelName(AGENT_PREFIX + agent.name, agent.created_at, organization_id) for agent in invocable),
    ]


async def get_model(tx: Transaction, organization_id: str, model_id: str) -> ModelName:
    """The model of that id, if `list_models` has it.

    Raises:
        ModelNotFoundError: it does not.
    """
    for model in await list_models(tx, organization_id):
        if model.id == model_id:
            return model
    raise ModelNotFoundError(model_id)


def _orchestrator_created_at(agents: Sequence[NamedAgent]) -> datetime:
    return next((agent.created_at for agent in agents if agent.is_orchestrator), _NO_ORCHESTRATOR_YET)
