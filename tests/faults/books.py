"""An organization's ledger, holds and contents."""

from decimal import Decimal

from app.core.database import Database
from app.verification.service import find_faults
from tests.factories import Organization
from tests.waiting import until

_NAMES = """
SELECT $1::text UNION SELECT reference FROM credit_holds WHERE organization_id = $1
UNION SELECT reference FROM ledger_entries WHERE organization_id = $1
UNION SELECT id::text FROM generations WHERE organization_id = $1
"""


async def faults_of(database: Database, organization: Organization) -> list[str]:
    """The faults in the organization's ledger; an empty list if it is correct."""
    async with database.transaction() as tx:
        found = await find_faults(tx)
    async with database.transaction() as tx:
        names = [row[0] for row in await tx.fetch(_NAMES, organization.id)]
    return [fault for fault in found if any(name in fault for name in names)]


async def charges(database: Database, organization: Organization) -> dict[str, Decimal]:
    """The charges of the organization by reference."""
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT reference, amount FROM ledger_entries WHERE organization_id = $1 AND kind = 'charge' ORDER BY id",
            organization.id,
        )
    return {row["reference"]: -row["amount"] for row in rows}


async def open_holds(database: Database, organization: Organization) -> list[Decimal]:
    """The open holds of the organization."""
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT amount FROM credit_holds WHERE organization_id = $1 AND state = 'open'", organization.id
        )
    return [row["amount"] for row in rows]


async def content_statuses(database: Database, organization: Organization) -> list[str]:
    """The statuses of all of the organization's contents."""
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT status FROM generations WHERE organization_id = $1", organization.id)
    return [row["status"] for row in rows]


async def until_ended(database: Database, organization: Organization) -> None:
    """Wait until the organization has no open hold, which means that all its work has ended."""

    async def is_over() -> bool:
        return not await open_holds(database, organization)

    await until(is_over)
