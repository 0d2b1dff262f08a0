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
    """Whom a request is for: an agent by its id or by its name, or else the organization's orchestrator."""

    agent_id: str | None = None
    agent_name: str | None = None

    @classmethod
    def of_model(cls, model: str | None) -> "Target":
        """What `model` means in a chat: `agent/<name>` is that agent, anything else the orchestrator."""
        if model is not None and model.startswith(AGENT_PREFIX):
            return cls(agent_name=model.removeprefix(AGENT_PREFIX))
        return cls()

    def model_of(self, agent: AgentDefinition) -> str:
        """What the answer calls its model."""
        is_orchestrator = self.agent_id is None and self.agent_name is None
        return ORCHESTRATOR_MODEL if is_orchestrator else AGENT_PREFIX + agent.name


def check_scope(caller: Caller, target: Target) -> None:
    """Whether the caller may talk to an agent that a chat names.

    Raises:
        ScopeNotAllowedError: the key may talk to the orchestrator, but not to agents.
    """
    if target.agent_name is not None and _INVOKE_AGENTS not in caller.scopes:
        raise ScopeNotAllowedError(f"API key lacks required scope: {_INVOKE_AGENTS}")


async def find_agent(tx: Transaction, caller: Caller, target: Target, default_model: str) -> AgentDefinition:
    """The agent that a request is for.

    Raises:
        AgentNotFoundError, AgentInactiveError, AgentNotInvocableError: there is no such agent to talk to.
    """
    organization_id = caller.organization_id
    if target.agent_id is not None:
        return await agents.get_agent(tx, organization_id, target.agent_id, default_model)
    if target.agent_name is not None:
        return await agents.get_agent_by_name(tx, organization_id, target.agent_name, default_model)
    return await agents.get_orchestrator(tx, organization_id, default_model)
