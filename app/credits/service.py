import logging
from datetime import timedelta
from decimal import Decimal

from app.audit.actor import Actor
from app.audit.service import log_change
from app.catalog.pricing import SIX_DECIMALS, Cost
from app.core.database import Database, Transaction
from app.core.errors import InvalidRequestError
from app.core.metrics import COST_ABOVE_HOLD
from app.credits import repository
from app.credits.balance import Balance
from app.credits.errors import InsufficientCreditsError

logger = logging.getLogger(__name__)

_LARGEST = Decimal(10) ** 11
_SWEEP_SIZE = 100


async def open_account(tx: Transaction, organization_id: str) -> None:
    """Give the organization its account, in the transaction that creates the organization."""
    await repository.add_account(tx, organization_id)


async def get_balance(tx: Transaction, organization_id: str) -> Balance:
    """The organization's balance now."""
    return await repository.find_balance(tx, organization_id) or Balance(Decimal(0), Decimal(0))


async def grant(
    tx: Transaction, *, organization_id: str, amount: Decimal, reference: str, description: str = "", actor: Actor
) -> bool:
    """Add credits to the account. It is idempotent: a reference is granted once.

    Returns:
        Whether the credits were added now; False if this reference was granted before.

    Raises:
        InvalidRequestError: the amount is not a positive number with at most 6 decimals.
    """
    if not amount.is_finite() or not 0 < amount < _LARGEST or amount != amount.quantize(SIX_DECIMALS):
        raise InvalidRequestError("A grant is a positive amount of at most 6 decimals")
    if await repository.grant(tx, organization_id, reference, amount, description) is None:
        return False
    log_change(tx, actor, "credits_granted", organization_id=organization_id, object_id=reference)
    return True


async def hold(
    tx: Transaction, *, organization_id: str, reference: str, amount: Decimal, expires_in: timedelta | None
) -> None:
    """Hold the most that an action can cost.

    Args:
        tx: the transaction that admits the action.
        organization_id: who pays.
        reference: names the action and is never used again: `turn:…` or `generation:…:attempt`.
        amount: credits.
        expires_in: how long until the action is taken to have crashed, by the clock of Postgres; None for a hold that
            ends only when its generation ends.

    Raises:
        InsufficientCreditsError: less than the amount is available.
    """
    if not await repository.hold(tx, organization_id, reference, amount, expires_in):
        raise InsufficientCreditsError


async def top_up(tx: Transaction, *, organization_id: str, reference: str, amount: Decimal) -> None:
    """Hold more for an action that goes on.

    Raises:
        InsufficientCreditsError: less than the amount is available.
    """
    if not await repository.top_up(tx, organization_id, reference, amount):
        raise InsufficientCreditsError


async def settle(
    tx: Transaction, *, organization_id: str, reference: str, cost: Cost, description: str
) -> Decimal | None:
    """End an action that costs something: charge at most what was held, and release the rest.

    Returns:
        What was charged; None if the hold had ended before. Nothing is charged again then.
    """
    charged = await repository.settle(
        tx, organization_id, reference, cost.amount, is_estimated=cost.is_estimated, description=description
    )
    if charged is None:
        logger.warning("settle_without_hold", extra={"reference": reference})
    elif charged < cost.amount:
        COST_ABOVE_HOLD.inc()
        logger.warning("cost_above_hold", extra={"reference": reference, "lost": str(cost.amount - charged)})
    return charged


async def void(tx: Transaction, *, organization_id: str, reference: str) -> None:
    """End an action that costs nothing. A hold that had ended before stays as it is."""
    await repository.void(tx, organization_id, reference)


async def void_expired(database: Database) -> int:
    """Release what crashed actions had held. Returns how many holds were ended."""
    async with database.transaction() as tx:
        expired = await repository.find_expired(tx, _SWEEP_SIZE)
    for hold_id in expired:
        # One transaction a hold, so that each locks the account of one organization only.
        async with database.transaction() as tx:
            await repository.void(tx, hold_id.organization_id, hold_id.reference)
    return len(expired)
