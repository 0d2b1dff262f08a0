from dataclasses import dataclass

from app.agents import service as agents
from app.agents.definition import AgentDefinition
from app.api_keys.caller import Caller
from app.api_keys.errors import ScopeNotAllowedError
from app.api_keys.scopes import Scope
from app.core.database import Transaction
from app.model_names.service import AGENT_PREFIX, ORCHESTRATOR_MODEL

_INVOKE_AGENTS = Scope.AGENTS_INVOKE


@dataclass(frozen=True)
class Target:
    """The agent that a request is for: named by its id or by its name; otherwise the organization's orchestrator."""

    agent_id: str | None = None
    agent_name: str | None = None

    @classmethod
    def of_model(cls, model: str | None) -> "Target":
        """The target that a request names in `model`: `agent/<name>`, or anything else for the orchestrator."""
        if model is not None and model.startswith(AGENT_PREFIX):
            return cls(agent_name=model.removeprefix(AGENT_PREFIX))
        return cls()

    def model_of(self, agent: AgentDefinition) -> str:
        """What responses give as the model."""
        is_orchestrator = self.agent_id is None and self.agent_name is None
        return ORCHESTRATOR_MODEL if is_orchestrator else AGENT_PREFIX + agent.name


def check_scope(caller: Caller, target: Target) -> None:
    """Check whether the caller may talk to the agent that a chat names.

    Raises:
        ScopeNotAllowedError: the key allows the orchestrator, but not agents.
    """
    if target.agent_name is not None and _INVOKE_AGENTS not in caller.scopes:
        raise ScopeNotAllowedError(f"API key lacks required scope: {_INVOKE_AGENTS}")


async def find_agent(tx: Transaction, organization_id: str, target: Target, default_model: str) -> AgentDefinition:
    """The agent that a request is for. An agent without a model of its own gets `default_model`.

    Raises:
        AgentNotFoundError, AgentInactiveError, AgentNotInvocableError, AgentCycleError: it cannot be talked to.
    """
    if target.agent_id is not None:
        return await agents.get_agent(tx, organization_id, target.agent_id, default_model)
    if target.agent_name is not None:
        return await agents.get_agent_by_name(tx, organization_id, target.agent_name, default_model)
    return await agents.get_orchestrator(tx, organization_id, default_model)
