"""An organization's books, which a test changes in ways that the product never would."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

from app.core.attribution import Attribution
from app.core.database import Database, Transaction
from app.core.settings import Settings
from app.credits import service as credits
from app.credits.metering import MeteredUse
from app.credits.models import EventKind
from app.generations.service import GenerationPolicy, GenerationRequest, request_generation
from app.queue.arq import ArqQueue
from app.queue.open import open_redis
from app.verification.service import find_faults, find_notes
from tests import factories
from tests.credits.uses import make_use
from tests.factories import Organization

_UNPROTECTED = (
    # In the order in which a generation's end locks them, so that other work and ours cannot deadlock.
    """
    LOCK TABLE generations, outputs, credit_accounts, credit_holds, metering_events, ledger_entries, messages
    IN ACCESS EXCLUSIVE MODE
    """,
    "ALTER TABLE credit_accounts DROP CONSTRAINT ck_credit_accounts_balance_not_negative",
    "ALTER TABLE credit_accounts DROP CONSTRAINT ck_credit_accounts_held_within_balance",
    "ALTER TABLE credit_holds DROP CONSTRAINT ck_credit_holds_within_most",
    "ALTER TABLE ledger_entries DROP CONSTRAINT uq_ledger_entries_reference",
    "ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_append_only",
    "ALTER TABLE metering_events DISABLE TRIGGER metering_events_append_only",
    "ALTER TABLE metering_events DISABLE TRIGGER metering_events_sealed",
)


class _NeverCommittedError(Exception):
    pass


class Books:
    """An organization's books with an open hold, a settled one, and a pending content."""

    def __init__(self, tx: Transaction, organization: Organization, content: str) -> None:
        self.tx = tx
        self._names = {"org": organization.id, "content": content}

    async def hold(self, reference: str, amount: str = "1", calls: int = 0, most: str | None = None) -> None:
        """Hold credits for an action of that name."""
        await credits.hold(
            self.tx,
            Attribution(organization_id=self._names["org"]),
            reference=self._own(reference),
            amount=Decimal(amount),
            expires_in=timedelta(hours=1),
            calls_opened=calls,
            most=None if most is None else Decimal(most),
        )

    async def open_call(self, reference: str, *costs: str) -> None:
        """Record calls of the action that cost this much, and open one more."""
        uses = await self._uses(reference, costs)
        await credits.open_call(
            self.tx, organization_id=self._names["org"], reference=self._own(reference), amount=Decimal(0), uses=uses
        )

    async def settle(self, reference: str, *costs: str) -> None:
        """Settle the action's hold with calls that cost this much."""
        await credits.settle(
            self.tx,
            organization_id=self._names["org"],
            reference=self._own(reference),
            uses=await self._uses(reference, costs),
            description="",
        )

    async def charge_late(self, reference: str, *costs: str) -> None:
        """Record calls that cost this much after the action's hold has ended."""
        await credits.charge_late(
            self.tx,
            organization_id=self._names["org"],
            reference=self._own(reference),
            uses=await self._uses(f"{reference}-late", costs),
            description="",
        )
        # The time of a transaction stands still, and this one is also that of the hold's end.
        await self.tx.execute(
            "UPDATE metering_events SET recorded_at = now() + interval '1 s' WHERE starts_with(call_id, $1)",
            self._own(f"{reference}-late"),
        )

    async def supersede(self, reference: str) -> None:
        """End the action in favour of another one."""
        await credits.supersede(
            self.tx, organization_id=self._names["org"], reference=self._own(reference), by_reference="another"
        )

    async def settle_content(self, outputs: int) -> None:
        """Settle the hold of the content, for so many files."""
        reference = f"generation:{self._names['content']}:0"
        find_price = "SELECT price_id FROM generations WHERE id::text = $1"
        price_id = await self.tx.fetchval(find_price, self._names["content"])
        use = MeteredUse(
            call_id=reference,
            kind=EventKind.GENERATION,
            agent=None,
            model="simulator/video",
            price_id=price_id,
            cost=Decimal("0.5"),
            outputs=outputs,
        )
        await credits.settle(
            self.tx, organization_id=self._names["org"], reference=reference, uses=[use], description=""
        )

    async def plant(self, statement: str, **names: object) -> None:
        """Change the books in a way that the product never would. Names may contain those of the organization."""
        own = {name: str(value).format(**self._names) for name, value in names.items()}
        await self.tx.execute(statement.format(**self._names, **own))

    async def forget_others(self) -> None:
        """Remove what other tests have left, for notes that are sums over all organizations. Before any check."""
        await self.plant("UPDATE credit_holds SET calls_opened = 0 WHERE organization_id <> '{org}'")
        await self.plant("DELETE FROM metering_events WHERE organization_id <> '{org}'")

    async def notes(self) -> list[str]:
        """The notes on this organization."""
        return [self._plain(note) for note in await find_notes(self.tx) if self._names["org"] in note]

    async def faults(self) -> list[str]:
        """The faults that the checks find."""
        found = [fault for fault in await find_faults(self.tx) if any(name in fault for name in self._names.values())]
        return [self._plain(fault) for fault in found]

    def _plain(self, text: str) -> str:
        for name, value in self._names.items():
            text = text.replace(value, f"{{{name}}}")
        return text

    def _own(self, reference: str) -> str:
        return f"{reference}:{self._names['org']}"

    async def _uses(self, reference: str, costs: Sequence[str]) -> list[MeteredUse]:
        return [
            await make_use(self.tx, f"{self._own(reference)}:{number}", cost) for number, cost in enumerate(costs, 1)
        ]


@asynccontextmanager
async def open_books(database: Database, environment: dict[str, str]) -> AsyncIterator[Books]:
    """The books of a new organization: 7 credits, an open hold, a charge of 0.5, and a pending content."""
    organization = await factories.make_organization(database, credit="7")
    settings = Settings.model_validate({name.lower(): value for name, value in environment.items()})
    async with _unprotected(database) as tx:
        wanted = GenerationRequest(organization.id, organization.user_id, None, None, "simulator/video", {})
        content = await request_generation(tx, ArqQueue(open_redis(settings)), GenerationPolicy.of(settings), wanted)
        books = Books(tx, organization, str(content.id))
        await books.hold("open")
        await books.hold("paid")
        await books.settle("paid", "0.5")
        yield books


@asynccontextmanager
async def _unprotected(database: Database) -> AsyncIterator[Transaction]:
    """A transaction without constraints and triggers, which is rolled back at the end."""
    try:
        async with database.transaction() as tx:
            # The checks need this isolation level; it can only be set before the first statement.
            await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            for statement in _UNPROTECTED:
                await tx.execute(statement)
            yield tx
            raise _NeverCommittedError
    except _NeverCommittedError:
        pass
