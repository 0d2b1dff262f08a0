from fastapi import APIRouter

from app.credits import service
from app.credits.schemas import BalanceRead
from app.dependencies import TransactionDep
from app.rate_limits.dependencies import AnyCaller, GuardedRoute

router = APIRouter(prefix="/api/external/credits", tags=["Credits"], route_class=GuardedRoute)


@router.get("")
async def get_credits(caller: AnyCaller, tx: TransactionDep) -> BalanceRead:
    """What the key's organization owns, what of it is held, and what may be spent, in credits."""
    return BalanceRead.of(await service.get_balance(tx, caller.organization_id))
