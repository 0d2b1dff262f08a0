"""How credits are given: by an operator, and every month by the plan."""

import logging
import uuid
from dataclasses import dataclass
from decimal import Decimal

from app.audit.actor import SERVER, Actor
from app.core.database import Database, Transaction
from app.core.errors import AppError, InvalidRequestError
from app.credits import repository, service, settlement
from app.credits.balance import Balance
from app.credits.references import is_reserved

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ManualGrant:
    """The result of a grant: its reference, whether it was granted now or before, and the balance after it."""

    reference: str
    is_new: bool
    balance: Balance


async def grant_manually(
    tx: Transaction,
    organization_id: str,
    *,
    amount: Decimal,
    reference: str | None = None,
    description: str = "",
    actor: Actor,
) -> ManualGrant:
    """Add credits to an organization's balance, once for a reference. Without a reference, a random one is used.

    Raises:
        InvalidRequestError: the amount is not a positive number with at most 6 decimals, the reference is that of
            another entry or one that the server makes itself, or the balance would become too large.
    """
    if reference and is_reserved(reference):
        raise InvalidRequestError(f"{reference} begins as the server's own references do: choose another one")
    reference = reference or f"grant:{uuid.uuid4()}"
    is_new = await service.grant(
        tx,
        organization_id=organization_id,
        amount=amount,
        reference=reference,
        description=description,
        actor=actor,
    )
    return ManualGrant(reference, is_new, await service.get_balance(tx, organization_id))


async def grant_monthly_credits(database: Database) -> int:
    """Grant every organization with a subscription its plan's credits for this calendar month (UTC).

    The month is that of Postgres's clock. It is idempotent, and any number of workers may do it at the same time: each
    organization is granted once a month.

    Returns:
        How many organizations were granted their credits now.
    """
    async with database.transaction() as tx:
        due = await repository.find_monthly_grants(tx)
    granted = 0
    for grant in due:
        try:
            granted += await _grant(database, grant.organization_id)
        except AppError as error:  # such as a balance that cannot become larger
            logger.warning(
                "monthly_credits_refused", extra={"organization_id": grant.organization_id, "reason": error.text}
            )
        except Exception:  # one that fails must not keep the others from theirs; it is tried again later
            logger.exception("monthly_credits_not_granted", extra={"organization_id": grant.organization_id})
    if granted:
        logger.info("monthly_credits_granted", extra={"organizations": granted})
    return granted


async def _grant(database: Database, organization_id: str) -> bool:
    async with database.transaction() as tx:
        await settlement.lock_account(tx, organization_id)
        # Read again: the month, the plan and what other workers have granted may have changed since.
        due = await repository.find_monthly_grants(tx, organization_id)
        for grant in due:
            await service.grant(
                tx,
                organization_id=organization_id,
                amount=grant.amount,
                reference=grant.reference,
                description=f"{grant.plan_name} {grant.period}",
                actor=SERVER,
            )
        return bool(due)
