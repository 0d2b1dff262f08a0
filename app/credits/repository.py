"""The SQL of accounts and grants. That of holds is in `settlement`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self

from asyncpg import Record

from app.core.database import Transaction
from app.credits.balance import Balance
from app.credits.models import EntryKind, HoldState
from app.credits.references import monthly_reference_sql
from app.organizations.models import SubscriptionStatus

_MONTHLY_REFERENCE = monthly_reference_sql("o.id", "to_char(month.begins, 'YYYY-MM')")
_NEXT_REFERENCE = monthly_reference_sql("o.id", "to_char(month.ends, 'YYYY-MM')")

_ADD_ENTRY = """
WITH account AS (
    UPDATE credit_accounts SET balance = balance + $4 WHERE organization_id = $1 RETURNING balance
)
INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated, description)
SELECT $1, $2, $3, $4, balance, false, $5 FROM account
"""

_FIND_ENTRY = "SELECT organization_id, kind, amount FROM ledger_entries WHERE reference = $1"

_EXPIRED = f"""
SELECT organization_id, reference, expires_at FROM credit_holds
WHERE state = '{HoldState.OPEN}' AND expires_at <= now()
  AND ($2::timestamptz IS NULL OR (expires_at, reference) > ($2, $3::text))
ORDER BY expires_at, reference LIMIT $1
"""

# The month is that of Postgres's clock, in UTC. After a failover that clock may be a little behind the one before: an
# organization that has the credits of the next month already, or did not exist in this one, gets nothing for this one.
_MONTHLY_GRANTS = f"""
SELECT o.id AS organization_id, p.name AS plan_name, p.monthly_credits, {_MONTHLY_REFERENCE} AS reference,
       to_char(month.begins, 'YYYY-MM') AS period
FROM organizations o JOIN plans p ON p.name = o.plan_name
CROSS JOIN (SELECT begins, begins + interval '1 month' AS ends
            FROM date_trunc('month', now() AT TIME ZONE 'UTC') AS begins) month
WHERE o.subscription_status = '{SubscriptionStatus.ACTIVE}' AND p.monthly_credits > 0
  AND o.created_at < month.ends AT TIME ZONE 'UTC' AND o.id = coalesce($1, o.id)
  AND NOT EXISTS (SELECT FROM ledger_entries WHERE reference IN ({_MONTHLY_REFERENCE}, {_NEXT_REFERENCE}))
"""


@dataclass(frozen=True)
class ExpiredHold:
    """A hold that has expired: the organization that pays, the reference of the action, and when it expired."""

    organization_id: str
    reference: str
    expires_at: datetime

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The hold of a row of `credit_holds`."""
        return cls(organization_id=row["organization_id"], reference=row["reference"], expires_at=row["expires_at"])


@dataclass(frozen=True)
class Entry:
    """An entry of the ledger: whose balance it changed, why, and by how much."""

    organization_id: str
    kind: EntryKind
    amount: Decimal

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The entry of a row of `ledger_entries`."""
        return cls(organization_id=row["organization_id"], kind=EntryKind(row["kind"]), amount=row["amount"])


@dataclass(frozen=True)
class MonthlyGrant:
    """The credits that an organization's plan gives it for a month (`2026-11`), and the reference of the grant."""

    organization_id: str
    plan_name: str
    period: str
    amount: Decimal
    reference: str

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The grant of a row of an organization joined with its plan."""
        return cls(
            organization_id=row["organization_id"],
            plan_name=row["plan_name"],
            period=row["period"],
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


async def find_entry(tx: Transaction, reference: str) -> Entry | None:
    """The entry with this reference, of whichever organization."""
    row = await tx.fetchrow(_FIND_ENTRY, reference)
    return Entry.from_row(row) if row else None


async def add_entry(
    tx: Transaction, organization_id: str, kind: EntryKind, reference: str, amount: Decimal, description: str
) -> None:
    """Change the balance, and add the entry that says why. The account must be locked."""
    await tx.execute(_ADD_ENTRY, organization_id, kind.value, reference, amount, description)


async def find_expired(tx: Transaction, limit: int, after: ExpiredHold | None) -> Sequence[ExpiredHold]:
    """The next open holds that have expired, the oldest first, or those after one of them."""
    cursor = (after.expires_at, after.reference) if after else (None, None)
    return [ExpiredHold.from_row(row) for row in await tx.fetch(_EXPIRED, limit, *cursor)]


async def find_monthly_grants(tx: Transaction, organization_id: str | None = None) -> Sequence[MonthlyGrant]:
    """What is still to be granted for this month to organizations with a subscription: to all of them, or to one."""
    return [MonthlyGrant.from_row(row) for row in await tx.fetch(_MONTHLY_GRANTS, organization_id)]
