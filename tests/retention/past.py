"""What the product has written, moved into the past."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from app.audit.actor import COMMAND_LINE
from app.core.attribution import Attribution
from app.core.database import Database
from app.credits import service as credits
from app.credits.summing import sum_up_spend
from app.verification.service import find_faults, find_notes
from tests.credits.uses import make_use
from tests.factories import Organization

_HOUR = timedelta(hours=1)
_TIMES = {
    "credit_holds": ("created_at", "expires_at", "ended_at"),
    "metering_events": ("began_at", "first_token_at", "ended_at", "recorded_at"),
    "ledger_entries": ("created_at",),
}


class Past:
    """An organization's turns of long ago."""

    def __init__(self, database: Database, organization: Organization) -> None:
        self.database = database
        self.id = organization.id
        self._payer = Attribution(
            organization_id=organization.id, user_id=organization.user_id, agent="orchestrator", model="sim-metered"
        )

    async def hold(self, name: str, amount: str = "1", calls: int = 1) -> str:
        """Hold credits for a turn of that name. Returns the reference."""
        reference = f"turn:{name}:{self.id}"
        async with self.database.transaction() as tx:
            await credits.hold(
                tx, self._payer, reference=reference, amount=Decimal(amount), expires_in=_HOUR, calls_opened=calls
            )
        return reference

    async def turn(self, name: str, *costs: str, amount: str = "1", is_estimated: bool = False) -> str:
        """A turn with calls that cost this much."""
        reference = await self.hold(name, amount, len(costs))
        async with self.database.transaction() as tx:
            uses = [
                await make_use(tx, f"{reference}:{number}", cost, is_estimated=is_estimated)
                for number, cost in enumerate(costs)
            ]
            await credits.settle(tx, organization_id=self.id, reference=reference, uses=uses, description="chat")
        return reference

    async def void(self, name: str, calls: int = 0) -> str:
        """A turn that came to nothing after so many calls were opened."""
        reference = await self.hold(name, calls=calls)
        async with self.database.transaction() as tx:
            await credits.void(tx, organization_id=self.id, reference=reference)
        return reference

    async def charge_late(self, reference: str, cost: str) -> None:
        """A call of the turn that is recorded after its hold has ended."""
        async with self.database.transaction() as tx:
            uses = [await make_use(tx, f"{reference}:late", cost)]
            await credits.charge_late(tx, organization_id=self.id, reference=reference, uses=uses, description="late")

    async def supersede(self, reference: str, by_reference: str) -> None:
        """Another run takes the turn's place."""
        async with self.database.transaction() as tx:
            await credits.supersede(tx, organization_id=self.id, reference=reference, by_reference=by_reference)

    async def grant(self, amount: str) -> None:
        """Grant credits."""
        async with self.database.transaction() as tx:
            await credits.grant(
                tx, organization_id=self.id, amount=Decimal(amount), reference=f"more:{self.id}", actor=COMMAND_LINE
            )

    async def sum_up(self) -> None:
        """Sum the ledger up by days, as workers do."""
        while await sum_up_spend(self.database):
            pass

    async def move(self, back: timedelta) -> None:
        """Move what the organization's books have back in time; then sum the ledger up."""
        async with self.database.transaction() as tx:
            for table in _TIMES:
                await tx.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            for table, columns in _TIMES.items():
                earlier = ", ".join(f"{column} = {column} - $2::interval" for column in columns)
                await tx.execute(f"UPDATE {table} SET {earlier} WHERE organization_id = $1", self.id, back)
            for table in _TIMES:
                await tx.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        await self.sum_up()

    async def plant(self, statement: str, *values: object) -> None:
        """Change what nothing of the product ever changes."""
        async with self.database.transaction() as tx:
            for table in _TIMES:
                await tx.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            await tx.execute(statement, *values)
            for table in _TIMES:
                await tx.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")

    async def names(self, table: str) -> set[str]:
        """The names of the turns of which the table has something."""
        column = "hold_reference" if table == "metering_events" else "reference"
        async with self.database.transaction() as tx:
            rows = await tx.fetch(f"SELECT {column} FROM {table} WHERE organization_id = $1", self.id)
        return {row[0].split(":")[1] for row in rows if row[0].startswith("turn:")}


async def ledger_of(database: Database) -> Mapping[str, object]:
    """All entries, accounts and sums of days."""
    ledger = {}
    async with database.transaction() as tx:
        for table in ("ledger_entries", "credit_accounts", "spend_days"):
            ledger[table] = [tuple(row) for row in await tx.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")]
    return ledger


async def verified(database: Database) -> tuple[list[str], list[str]]:
    """What `junis verify-ledger` finds: faults, and notes without the references that they name."""
    async with database.transaction() as tx:
        faults = await find_faults(tx)
        notes = await find_notes(tx)
    return faults, [note.partition(" (")[0] for note in notes]
