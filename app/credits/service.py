import logging
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from app.catalog.pricing import SIX_PLACES, Cost
from app.core.database import Database, Transaction
from app.core.errors import InvalidRequestError
from app.core.metrics import COST_ABOVE_HOLD
from app.credits import repository
from app.credits.errors import InsufficientCreditsError

logger = logging.getLogger(__name__)

_LARGEST = Decimal(10) ** 11
_SWEEP_SIZE = 100


@dataclass(frozen=True)
class Balance:
    """What an organization owns, what of it is held, in credits."""

    balance: Decimal
    held: Decimal

    @property
    def available(self) -> Decimal:
        return self.balance - self.held


async def open_account(tx: Transaction, organization_id: str) -> None:
    """Give the organization its account, in the transaction that makes the organization."""
    await repository.add_account(tx, organization_id)


async def get_balance(tx: Transaction, organization_id: str) -> Balance:
    """The organization's balance now."""
    row = await repository.find_account(tx, organization_id)
    return Balance(row["balance"], row["held"]) if row else Balance(Decimal(0), Decimal(0))


async def grant(
    tx: Transaction, *, organization_id: str, amount: Decimal, reference: str, description: str = ""
) -> bool:
    """Add credits to the account, once for a reference whatever calls twice.

    Returns:
        Whether the credits were added now; False where this reference was granted before.

    Raises:
        InvalidRequestError: the amount is not a positive number of at most 6 decimals.
    """
    if not amount.is_finite() or not 0 < amount < _LARGEST or amount != amount.quantize(SIX_PLACES):
        raise InvalidRequestError("A grant is a positive amount of at most 6 decimals")
    return await repository.grant(tx, organization_id, reference, amount, description) is not None


async def hold(
    tx: Transaction, *, organization_id: str, reference: str, amount: Decimal, expires_in: timedelta | None
) -> None:
    """Put aside the most that an action can cost.

    Args:
        tx: the transaction that admits the action.
        organization_id: who pays.
        reference: names the action, unique for ever: `turn:…` or `generation:…:attempt`.
        amount: credits.
        expires_in: after which a crash is assumed; None for a hold that ends only with its content. It is counted by
            the clock of Postgres, by which the sweeper goes too.

    Raises:
        InsufficientCreditsError: less than the amount is available.
    """
    if not await repository.hold(tx, organization_id, reference, amount, expires_in):
        raise InsufficientCreditsError


async def top_up(tx: Transaction, *, organization_id: str, reference: str, amount: Decimal) -> None:
    """Put more aside for an action that goes on.

    Raises:
        InsufficientCreditsError: less than the amount is available.
    """
    if not await repository.top_up(tx, organization_id, reference, amount):
        raise InsufficientCreditsError


async def settle(
    tx: Transaction, *, organization_id: str, reference: str, cost: Cost, description: str
) -> Decimal | None:
    """End an action that is to be paid: charge at most what was held, give back the rest.

    Returns:
        What was charged; None where the hold had ended before, in which case nothing is charged again.
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
    """End an action that costs nothing. A hold that has ended before stays as it ended."""
    await repository.void(tx, organization_id, reference)


async def void_expired(database: Database) -> int:
    """Give back what crashed actions had put aside. How many holds were ended."""
    async with database.transaction() as tx:
        expired = await repository.find_expired(tx, _SWEEP_SIZE)
    for row in expired:
        # One transaction a hold: each locks the account of its own organization only.
        async with database.transaction() as tx:
            await repository.void(tx, row["organization_id"], row["reference"])
    return len(expired)
