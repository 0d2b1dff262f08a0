"""The proof that the ledger is right: that its parts agree, and that each charge can be computed again."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.database import Transaction
from app.organizations import service as organizations
from app.verification import (
    count_checks,
    delivery_checks,
    ledger_checks,
    metering_checks,
    seal_checks,
    spend_checks,
)

_BEGIN = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
    # Postgres has no statistics of what a query computes on the way, and may take it for a few rows.
    "SET LOCAL enable_nestloop = off",
)
_MOST_NAMED = 20


@dataclass(frozen=True)
class Verification:
    """What is wrong with the ledger, what else is worth knowing of it, and how many organizations there are.

    Faults and notes are one sentence each.
    """

    faults: Sequence[str]
    notes: Sequence[str]
    organizations: int


async def verify_ledger(tx: Transaction) -> Verification:
    """Check the ledgers of all organizations; see `find_faults`."""
    # The faults come first: only the first query of a transaction can choose what its snapshot is.
    faults = await find_faults(tx)
    return Verification(faults, await find_notes(tx), len(await organizations.list_organizations(tx)))


async def find_faults(tx: Transaction) -> list[str]:
    """Every contradiction between accounts, holds, ledger, metering events, what was delivered, and what is counted.

    An empty list proves that the ledger is right. All queries see the same snapshot of the database. It must be the
    first thing that the transaction does. A large ledger takes seconds for each query: see `app.cli.transaction`.
    """
    for statement in _BEGIN:
        await tx.execute(statement)
    faults: list[str] = []
    for checks in (ledger_checks, metering_checks, seal_checks, delivery_checks, spend_checks, count_checks):
        for check in checks.CHECKS:
            faults += [row[0] for row in await tx.fetch(check)]
    return faults


async def find_notes(tx: Transaction) -> list[str]:
    """What is right but costs somebody credits, or cannot be checked: one sentence each."""
    notes: list[str] = []
    for query in metering_checks.NOTES:
        notes += [_note(*row) for row in await tx.fetch(query) if row[1] is not None]
    return notes


def _note(what: str, count: str, references: Sequence[str] | None) -> str:
    named = ", ".join((references or ())[:_MOST_NAMED])
    more = len(references or ()) - _MOST_NAMED
    return f"{what}: {count}" + (f" ({named}{f' and {more} more' if more > 0 else ''})" if named else "")
