from app.agents.definition import AgentType
from app.core.errors import AppError, InvalidRequestError, NotFoundError


class AgentNotFoundError(NotFoundError):
    code = "agent_not_found"
    message = "Specified agent doesn't exist"


class AgentInactiveError(InvalidRequestError):
    code = "agent_inactive"
    message = "The agent is not active"


class AgentNotInvocableError(InvalidRequestError):
    code = "agent_not_invocable"
    message = f"Only an {AgentType.LLM} can be invoked directly"


class AgentFileError(InvalidRequestError):
    message = "The agents file cannot be read"


class AgentRefusedError(AgentFileError):
    """An agent that cannot be as it is wanted. `param` is the field of its entry that is to blame."""

    message = "The agent cannot be changed so"


class AgentChangedError(AppError):
    status = 409
    type = "invalid_request_error"
    code = "agent_changed"
    message = "The agent has been changed since it was read"


class AgentVersionNotFoundError(NotFoundError):
    code = "agent_version_not_found"
    message = "The agent has no such version"


class AgentCycleError(AgentNotInvocableError):
    """A run of the agent would never end. Imports refuse cycles, so this one was made directly in the database."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The agent {name} is its own sub-agent, directly or indirectly")
