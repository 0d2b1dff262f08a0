"""What a turn leaves in the tables of credits."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from app.core.database import Database
from app.credits import service as credits
from tests.factories import Organization

_HOLDS = """
SELECT h.*, (SELECT count(*) FROM metering_events e WHERE e.hold_reference = h.reference) AS events
FROM credit_holds h WHERE organization_id = $1 ORDER BY id
"""
_LET_LEASES_RUN_OUT = (
    "UPDATE user_idempotency_keys SET lease_until = lease_until - interval '60 seconds' WHERE organization_id = $1",
    "UPDATE idempotency_keys SET lease_until = lease_until - interval '60 seconds' WHERE organization_id = $1",
    "UPDATE sessions SET turn_lease_until = turn_lease_until - interval '60 seconds' WHERE organization_id = $1",
)


@dataclass(frozen=True)
class TurnRows:
    """The organization's holds, metering events and ledger entries other than grants, each in their order."""

    holds: list[dict[str, Any]]
    events: list[dict[str, Any]]
    entries: list[dict[str, Any]]

    @property
    def lost_calls(self) -> int:
        """How many model calls were opened and have left no event."""
        return sum(hold["calls_opened"] - hold["events"] for hold in self.holds)

    @property
    def paid(self) -> Decimal:
        """What the organization has paid in all."""
        return -sum((entry["amount"] for entry in self.entries), Decimal(0))


async def rows_of(database: Database, organization: Organization) -> TurnRows:
    """The organization's rows now."""
    async with database.transaction() as tx:
        holds = await tx.fetch(_HOLDS, organization.id)
        events = await tx.fetch("SELECT * FROM metering_events WHERE organization_id = $1 ORDER BY id", organization.id)
        entries = await tx.fetch(
            "SELECT * FROM ledger_entries WHERE organization_id = $1 AND kind <> 'grant' ORDER BY id", organization.id
        )
    return TurnRows([dict(row) for row in holds], [dict(row) for row in events], [dict(row) for row in entries])


async def let_holds_expire(database: Database, organization: Organization) -> None:
    """Let the open holds expire, as an hour after a crash, and sweep as a worker does."""
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE credit_holds SET expires_at = now() - interval '1 second' "
            "WHERE organization_id = $1 AND state = 'open'",
            organization.id,
        )
    await credits.settle_expired(database)


async def let_leases_run_out(database: Database, organization: Organization) -> None:
    """Let the turns' leases expire, as if their processes had hung for a minute."""
    async with database.transaction() as tx:
        for statement in _LET_LEASES_RUN_OUT:
            await tx.execute(statement, organization.id)
