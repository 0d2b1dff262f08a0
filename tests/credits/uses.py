from decimal import Decimal

from app.core.database import Transaction
from app.credits.metering import MeteredUse
from app.credits.models import EventKind

# A model that nobody can call, because it is not active. Its prices are never in force.
_PRICE = """
WITH model AS (
    INSERT INTO models (name, kind, description, max_output_tokens, is_active)
    VALUES ('test-' || $1, 'chat', '', 1, false) ON CONFLICT (name) DO NOTHING
), price AS (
    INSERT INTO prices (model_name, effective_at, per_call, per_second, per_output, per_million_prompt_tokens,
                        per_million_completion_tokens)
    VALUES ('test-' || $1, 'epoch', $1::numeric, 0, 0, 0, 0) ON CONFLICT (model_name, effective_at) DO NOTHING
    RETURNING id
)
SELECT id FROM price UNION ALL SELECT id FROM prices WHERE model_name = 'test-' || $1
"""


async def make_use(
    tx: Transaction, call_id: str, cost: str = "1", *, is_estimated: bool = False, tokens: int = 1
) -> MeteredUse:
    """A model call that has used so many tokens of a prompt, at a price at which each call costs this much."""
    return MeteredUse(
        call_id=call_id,
        kind=EventKind.MODEL_CALL,
        agent="test",
        model=f"test-{cost}",
        price_id=await tx.fetchval(_PRICE, cost),
        cost=Decimal(cost),
        is_estimated=is_estimated,
        prompt_tokens=tokens,
        completion_tokens=0,
        delivered_bytes=0,
    )
