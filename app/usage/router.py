from typing import Annotated

from fastapi import APIRouter, Query

from app.core.documentation import may_raise
from app.core.errors import InvalidRequestError
from app.dependencies import TransactionDep
from app.rate_limits.dependencies import GuardedRoute
from app.usage import service
from app.usage.dependencies import UsageReader
from app.usage.schemas import Day, UsageRead

router = APIRouter(prefix="/api/external/v1/usage", tags=["Usage"], route_class=GuardedRoute)


@router.get("", response_model_exclude_unset=True)
@may_raise(InvalidRequestError)
async def get_usage(
    caller: UsageReader,
    tx: TransactionDep,
    first: Annotated[
        Day | None,
        Query(alias="from", description="The first day, in UTC; else the first one of the last day's month"),
    ] = None,
    last: Annotated[Day | None, Query(alias="to", description="The last day, in UTC; else today")] = None,
    group_by: Annotated[
        str,
        Query(description="`day`, and one of `model`, `key` and `agent`, with a comma between; empty: only the sum"),
    ] = "day",
) -> UsageRead:
    """What was used in a period and what it has cost, exactly as it was charged."""
    groups = service.read_groups(group_by)
    period = await service.read_period(tx, first, last, groups)
    return UsageRead.of(await service.read_usage(tx, caller, period, groups))
