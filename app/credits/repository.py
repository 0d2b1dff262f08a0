"""The SQL of accounts and grants. That of holds is in `settlement`."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from asyncpg import Record

from app.core.database import Transaction
from app.credits.balance import Balance
from app.credits.models import EntryKind, HoldState
from app.credits.references import monthly_reference_sql
from app.organizations.models import SubscriptionStatus

_MONTHLY_REFERENCE = monthly_reference_sql("o.id", "$1::text")

_GRANT = f"""
WITH account AS (
    UPDATE credit_accounts SET balance = balance + $3
    WHERE organization_id = $1 AND NOT EXISTS (SELECT FROM ledger_entries WHERE reference = $2)
    RETURNING balance
)
INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated, description)
SELECT $1, '{EntryKind.GRANT}', $2, $3, balance, false, $4 FROM account
RETURNING balance_after
"""

_EXPIRED = f"""
SELECT organization_id, reference FROM credit_holds
WHERE state = '{HoldState.OPEN}' AND expires_at <= now()
ORDER BY expires_at LIMIT $1
"""

_MONTHLY_GRANTS = f"""
SELECT o.id AS organization_id, p.name AS plan_name, p.monthly_credits,
       {_MONTHLY_REFERENCE} AS reference
FROM organizations o JOIN plans p ON p.name = o.plan_name
WHERE o.subscription_status = '{SubscriptionStatus.ACTIVE}' AND p.monthly_credits > 0
  AND NOT EXISTS (SELECT FROM ledger_entries WHERE reference = {_MONTHLY_REFERENCE})
"""


@dataclass(frozen=True)
class HoldId:
    """Names one hold: the organization that pays, and the reference of the action."""

    organization_id: str
    reference: str

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The name of the hold of a row of `credit_holds`."""
        return cls(organization_id=row["organization_id"], reference=row["reference"])


@dataclass(frozen=True)
class MonthlyGrant:
    """The credits that an organization's plan gives it for a month, and the reference of the grant."""

    organization_id: str
    plan_name: str
    amount: Decimal
    reference: str

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The grant of a row of an organization joined with its plan."""
        return cls(
            organization_id=row["organization_id"],
            plan_name=row["plan_name"],
            amount=row["monthly_credits"],
            reference=row["reference"],
        )


async def add_account(tx: Transaction, organization_id: str) -> None:
    """Add an empty account. One that exists stays as it is."""
    await tx.execute(
        "INSERT INTO credit_accounts (organization_id, balance, held) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING",
        organization_id,
    )


async def find_balance(tx: Transaction, organization_id: str) -> Balance | None:
    """The balance of the organization's account, or None if it has no account."""
    row = await tx.fetchrow("SELECT balance, held FROM credit_accounts WHERE organization_id = $1", organization_id)
    return Balance(balance=row["balance"], held=row["held"]) if row else None


async def grant(
    tx: Transaction, organization_id: str, reference: str, amount: Decimal, description: str
) -> Decimal | None:
    """Add credits once for a reference. The balance after it, or None if the reference was granted before."""
    # The lock is a statement of its own, so that the next one sees a grant that it had to wait for.
    await tx.execute("SELECT FROM credit_accounts WHERE organization_id = $1 FOR UPDATE", organization_id)
    balance: Decimal | None = await tx.fetchval(_GRANT, organization_id, reference, amount, description)
    return balance


async def find_expired(tx: Transaction, limit: int) -> Sequence[HoldId]:
    """The open holds that have expired, the oldest first."""
    return [HoldId.from_row(row) for row in await tx.fetch(_EXPIRED, limit)]


async def find_monthly_grants(tx: Transaction, period: str) -> Sequence[MonthlyGrant]:
    """What is still to be granted for a month (`2026-11`) to organizations with a subscription."""
    return [MonthlyGrant.from_row(row) for row in await tx.fetch(_MONTHLY_GRANTS, period)]
