from decimal import Decimal

from app.core.database import Transaction
from app.credits.metering import MeteredUse
from app.credits.models import EventKind


async def make_use(
    tx: Transaction, call_id: str, cost: str = "1", *, is_estimated: bool = False, tokens: int = 1
) -> MeteredUse:
    """A model call that has used so many tokens of a prompt and cost this much."""
    return MeteredUse(
        call_id=call_id,
        kind=EventKind.MODEL_CALL,
        agent="test",
        model="test",
        price_id=await tx.fetchval("SELECT min(id) FROM prices"),
        cost=Decimal(cost),
        is_estimated=is_estimated,
        prompt_tokens=tokens,
        completion_tokens=0,
        delivered_bytes=0,
    )
