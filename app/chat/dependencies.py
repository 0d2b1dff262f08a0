from typing import Annotated

from fastapi import Depends, Request

from app.api_keys.caller import Caller
from app.api_keys.scopes import Scope
from app.chat.turns.run import Turns
from app.rate_limits.dependencies import Guard


async def get_turns(request: Request) -> Turns:
    """The turns of this process."""
    turns: Turns = request.app.state.turns
    return turns


AgentInvoker = Annotated[Caller, Depends(Guard(Scope.AGENTS_INVOKE))]
OrchestratorInvoker = Annotated[Caller, Depends(Guard(Scope.ORCHESTRATOR_INVOKE))]
TurnsDep = Annotated[Turns, Depends(get_turns)]
