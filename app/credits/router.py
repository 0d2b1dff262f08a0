from fastapi import APIRouter

from app.credits import service
from app.credits.schemas import BalanceRead
from app.dependencies import TransactionDep
from app.rate_limits.dependencies import AnyCaller, GuardedRoute

router = APIRouter(prefix="/api/external/credits", tags=["Credits"], route_class=GuardedRoute)


@router.get("")
async def get_credits(caller: AnyCaller, tx: TransactionDep) -> BalanceRead:
    """The credits of the key's organization: what it has, what of it is held, and what may be spent."""
    return BalanceRead.of(await service.get_balance(tx, caller.organization_id))
