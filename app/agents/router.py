from typing import Annotated

from fastapi import APIRouter, Depends, Query

from app.agents import service
from app.agents.definition import AgentType
from app.agents.dependencies import DefaultModelDep
from app.agents.schemas import AgentsRead
from app.api_keys.caller import Caller
from app.api_keys.scopes import Scope
from app.dependencies import TransactionDep
from app.rate_limits.dependencies import Guard, GuardedRoute

router = APIRouter(prefix="/api/external/agents", tags=["Agents"], route_class=GuardedRoute)


@router.get("")
async def list_agents(
    caller: Annotated[Caller, Depends(Guard(Scope.AGENTS_LIST))],
    tx: TransactionDep,
    default_model: DefaultModelDep,
    agent_type: Annotated[AgentType | None, Query()] = None,
    is_active: Annotated[bool | None, Query()] = None,
) -> AgentsRead:
    """The organization's agents, by name."""
    found = await service.list_agents(tx, caller.organization_id, agent_type=agent_type, is_active=is_active)
    return AgentsRead.of(found, default_model)
