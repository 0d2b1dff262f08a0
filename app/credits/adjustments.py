"""Corrections of a balance by an operator, such as of a wrong grant or charge. Each is an entry of the ledger."""

from dataclasses import dataclass
from decimal import Decimal

from app.audit.actor import Actor
from app.audit.service import log_change
from app.core.database import Transaction
from app.core.errors import InvalidRequestError
from app.credits import service
from app.credits.balance import Balance
from app.credits.models import EntryKind
from app.credits.references import adjustment_reference


@dataclass(frozen=True)
class Adjustment:
    """The result of an adjustment: its reference in the ledger, whether it is new, and the balance after it."""

    reference: str
    is_new: bool
    balance: Balance


async def adjust(
    tx: Transaction, organization_id: str, *, amount: Decimal, reason: str, reference: str, actor: Actor
) -> Adjustment:
    """Correct the balance of an organization, once for a reference.

    Args:
        tx: the transaction.
        organization_id: whose balance.
        amount: credits to add, or to take if it is negative.
        reason: is kept in the ledger.
        reference: names the correction, such as the number of a ticket.
        actor: who corrects.

    Raises:
        InvalidRequestError: the amount is zero or has more than 6 decimals, the reason or the reference is empty, the
            reference was used for another adjustment, the balance would become too large, or less would be left than
            is held.
    """
    if not service.is_amount(amount) or amount == 0:
        raise InvalidRequestError("An adjustment is an amount of at most 6 decimals other than 0")
    if not reason.strip() or not reference.strip():
        raise InvalidRequestError("An adjustment needs a reason and a reference")
    entry = adjustment_reference(reference.strip())
    is_new = await service.add_entry(tx, organization_id, EntryKind.ADJUSTMENT, entry, amount, reason.strip())
    if is_new:
        after = {"amount": amount, "reason": reason.strip()}
        log_change(tx, actor, "credits_adjusted", organization_id=organization_id, object_id=entry, after=after)
    return Adjustment(entry, is_new, await service.get_balance(tx, organization_id))
