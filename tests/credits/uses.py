from decimal import Decimal

from app.audit.actor import COMMAND_LINE
from app.catalog import service as catalog
from app.catalog.toml import read_catalog
from app.core.database import Transaction
from app.credits.metering import MeteredUse
from app.credits.models import EventKind
from tests import factories

# A completion token costs a millionth of a credit, so that every cost is that of some number of tokens.
_MODEL = "sim-metered"
_FIND_PRICE = "SELECT min(id) FROM prices WHERE model_name = $1"


async def make_use(
    tx: Transaction, call_id: str, cost: str = "1", *, is_estimated: bool = False, tokens: int = 1
) -> MeteredUse:
    """A model call that has used so many tokens of a prompt, which are free, and cost this much."""
    amount = Decimal(cost)
    price_id = await tx.fetchval(_FIND_PRICE, _MODEL)
    if price_id is None:
        await catalog.import_catalog(tx, read_catalog(factories.TEST_CATALOG), actor=COMMAND_LINE)
        price_id = await tx.fetchval(_FIND_PRICE, _MODEL)
    return MeteredUse(
        call_id=call_id,
        kind=EventKind.MODEL_CALL,
        agent="test",
        model=_MODEL,
        price_id=price_id,
        cost=amount,
        is_estimated=is_estimated,
        prompt_tokens=tokens,
        completion_tokens=int(amount * 1_000_000) if amount.is_finite() else 0,
        delivered_bytes=0,
    )
