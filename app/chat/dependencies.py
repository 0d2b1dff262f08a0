from typing import Annotated, Final

from fastapi import Depends, Request

from app.agents.errors import AgentInactiveError, AgentNotFoundError, AgentNotInvocableError
from app.api_keys.caller import Caller
from app.api_keys.errors import ScopeNotAllowedError
from app.api_keys.scopes import Scope
from app.catalog.errors import ModelNotPricedError
from app.chat.turns.run import Turns
from app.core.errors import ProviderError, ProviderRateLimitedError, ProviderTimeoutError, ProviderUnavailableError
from app.credits.errors import InsufficientCreditsError, KeyCapReachedError, MaxCreditsReachedError
from app.rate_limits.dependencies import Guard
from app.sessions.errors import SessionBusyError, SessionNotFoundError


async def get_turns(request: Request) -> Turns:
    """The turns of this process."""
    turns: Turns = request.app.state.turns
    return turns


AgentInvoker = Annotated[Caller, Depends(Guard(Scope.AGENTS_INVOKE))]
OrchestratorInvoker = Annotated[Caller, Depends(Guard(Scope.ORCHESTRATOR_INVOKE))]
# A response that runs has a slot of its plan. Beside it, its events may be read, and something else may be asked of it.
ResponseOwner = Annotated[Caller, Depends(Guard(Scope.ORCHESTRATOR_INVOKE, per_run=3))]
TurnsDep = Annotated[Turns, Depends(get_turns)]

# What a turn may end with before its response has begun.
ERRORS_OF_A_TURN: Final = (
    ScopeNotAllowedError,
    InsufficientCreditsError,
    KeyCapReachedError,
    MaxCreditsReachedError,
    AgentNotFoundError,
    AgentInactiveError,
    AgentNotInvocableError,
    SessionNotFoundError,
    SessionBusyError,
    ModelNotPricedError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
