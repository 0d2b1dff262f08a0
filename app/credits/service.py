import logging
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from app.audit.actor import Actor
from app.audit.service import log_change
from app.catalog.pricing import MOST_CREDITS, SIX_DECIMALS
from app.core.attribution import Attribution
from app.core.database import Database, Transaction
from app.core.errors import InvalidRequestError, ServiceUnavailableError
from app.core.metrics import COST_ABOVE_HOLD, EXPIRED_HOLDS
from app.credits import repository, settlement
from app.credits.balance import Balance
from app.credits.errors import InsufficientCreditsError, MaxCreditsReachedError
from app.credits.metering import MeteredUse, Settlement
from app.credits.models import EntryKind
from app.credits.repository import Entry, ExpiredHold

logger = logging.getLogger(__name__)

_LARGEST_CHANGE = Decimal(10) ** 11
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
        InvalidRequestError: the amount is not a positive number with at most 6 decimals; see `add_entry`, too.
    """
    if not is_amount(amount) or amount <= 0:
        raise InvalidRequestError("A grant is a positive amount of at most 6 decimals")
    if not await add_entry(tx, organization_id, EntryKind.GRANT, reference, amount, description):
        return False
    after = {"amount": amount, "description": description}
    log_change(tx, actor, "credits_granted", organization_id=organization_id, object_id=reference, after=after)
    return True


def is_amount(amount: Decimal) -> bool:
    """Whether a balance can be changed by this at once: a number with at most 11 digits and 6 decimals."""
    return amount.is_finite() and abs(amount) < _LARGEST_CHANGE and amount == amount.quantize(SIX_DECIMALS)


async def add_entry(
    tx: Transaction, organization_id: str, kind: EntryKind, reference: str, amount: Decimal, description: str
) -> bool:
    """Change the balance, once for a reference, and add the entry that says why.

    Returns:
        False if the same entry was added before.

    Raises:
        InvalidRequestError: the reference is that of another entry, the balance would become too large, or less would
            be left than is held.
    """
    await settlement.lock_account(tx, organization_id)
    former = await repository.find_entry(tx, reference)
    if former is not None:
        if former != Entry(organization_id, kind, amount):
            raise InvalidRequestError(f"{reference} is already the reference of another entry of the ledger")
        return False
    balance = await get_balance(tx, organization_id)
    if balance.balance + amount > MOST_CREDITS:
        raise InvalidRequestError(f"The balance cannot exceed {MOST_CREDITS:,}")
    if balance.available + amount < 0:
        raise InvalidRequestError(f"Only {balance.available:f} credits are available")
    await repository.add_entry(tx, organization_id, kind, reference, amount, description)
    return True


async def hold(
    tx: Transaction,
    attribution: Attribution,
    *,
    reference: str,
    amount: Decimal,
    expires_in: timedelta | None,
    calls_opened: int = 0,
    most: Decimal | None = None,
) -> None:
    """Hold the most that an action can cost.

    Args:
        tx: the transaction that admits the action.
        attribution: who pays, and for what.
        reference: names the action and is never used again: `turn:…` or `generation:…:attempt`.
        amount: credits.
        expires_in: how long until the action is taken to have crashed, by the clock of Postgres; None for a hold that
            ends only when its generation ends.
        calls_opened: how many model calls begin with it.
        most: the most that may ever be held and charged for it; None if there is no limit.

    Raises:
        InsufficientCreditsError: less than the amount is available.
    """
    if not await settlement.hold(tx, attribution, reference, amount, expires_in, calls_opened, most):
        raise InsufficientCreditsError


async def open_call(
    tx: Transaction, *, organization_id: str, reference: str, amount: Decimal, uses: Sequence[MeteredUse]
) -> None:
    """Hold more for an action that goes on with a further model call, and record what its earlier calls used.

    Raises:
        InsufficientCreditsError: less than the amount is available, or the hold has ended, or it would exceed its most.
    """
    if not await settlement.open_call(tx, organization_id, reference, amount, uses):
        raise InsufficientCreditsError


async def share(tx: Transaction, *, organization_id: str, reference: str, amount: Decimal, needed: Decimal) -> Decimal:
    """Take an amount from the most that an open hold may be charged, for another hold of the same request.

    `needed` is what it has to hold nevertheless. Whatever it holds beyond its most then is released.

    Returns:
        What it holds now.

    Raises:
        MaxCreditsReachedError: so much cannot be taken, or the hold has ended.
    """
    held = await settlement.share(tx, organization_id, reference, amount, needed)
    if held is None:
        raise MaxCreditsReachedError
    return held


async def find_most(tx: Transaction, organization_id: str, reference: str) -> Decimal | None:
    """The most that a hold may be charged: what its request allows without what other holds have taken of it."""
    return await settlement.find_most(tx, organization_id, reference)


async def settle(
    tx: Transaction, *, organization_id: str, reference: str, uses: Sequence[MeteredUse], description: str
) -> Settlement | None:
    """End an action: record its uses, charge every use of the hold that is recorded, and release the rest.

    A cost above the hold is taken from what is available, as far as that goes. Without a use that counts, the hold is
    voided.

    Returns:
        None if the hold had ended before. Nothing is recorded or charged then.
    """
    ended = await settlement.settle(tx, organization_id, reference, uses, description)
    if ended is None:
        logger.warning("settle_without_hold", extra={"reference": reference})
    elif ended.cost > ended.held:
        COST_ABOVE_HOLD.inc()
        lost = str(ended.cost - ended.charged)
        logger.warning("cost_above_hold", extra={"reference": reference, "held": str(ended.held), "lost": lost})
    return ended


async def charge_late(
    tx: Transaction, *, organization_id: str, reference: str, uses: Sequence[MeteredUse], description: str
) -> None:
    """Record uses whose hold has ended without them, and charge each under a reference of its own.

    They are paid from what is available, as far as that goes. Uses of a superseded hold are recorded and not charged.
    """
    for use in uses:
        charged = await settlement.charge_late(tx, organization_id, reference, use, description)
        if charged is not None:
            logger.warning("charged_late", extra={"reference": use.call_id, "lost": str(use.cost - charged)})


async def void(tx: Transaction, *, organization_id: str, reference: str) -> None:
    """End an action that costs nothing. A hold that had ended before stays as it is."""
    await settlement.void(tx, organization_id, reference)


async def supersede(tx: Transaction, *, organization_id: str, reference: str, by_reference: str) -> None:
    """End the hold of a run in favour of another run of the same request, which alone is charged.

    What the former run was charged already is given back.
    """
    await settlement.supersede(tx, organization_id, reference, by_reference, f"superseded by {by_reference}")


async def settle_expired(database: Database) -> int:
    """Charge what crashed actions have recorded, and release the rest. Returns how many holds were ended.

    A hold that cannot be ended is left for the next round, and neither it nor a locked account delays the others.
    """
    ended = 0
    locked: set[str] = set()
    after: ExpiredHold | None = None
    while page := await _find_expired(database, after):
        for hold in page:
            if hold.organization_id not in locked:
                ended += await _settle_expired(database, hold, locked)
        after = page[-1]
    return ended


async def _find_expired(database: Database, after: ExpiredHold | None) -> Sequence[ExpiredHold]:
    async with database.transaction() as tx:
        return await repository.find_expired(tx, _SWEEP_SIZE, after)


async def _settle_expired(database: Database, hold: ExpiredHold, locked: set[str]) -> bool:
    """End one hold. Its organization is added to `locked` if its account is."""
    try:
        # One transaction a hold, so that each locks the account of one organization only.
        async with database.transaction() as tx:
            ended = await settlement.settle(
                tx, hold.organization_id, hold.reference, uses=(), description="settled after its hold expired"
            )
    except ServiceUnavailableError:
        locked.add(hold.organization_id)
        logger.warning("expired_hold_locked", extra={"reference": hold.reference})
        return False
    except Exception:  # a fault of one hold must not keep the others; it is tried again in the next round
        logger.exception("expired_hold_not_settled", extra={"reference": hold.reference})
        return False
    EXPIRED_HOLDS.inc(ended is not None)
    return ended is not None
