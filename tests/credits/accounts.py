"""An account with credits, and a check of the invariants of the ledger, which must hold at any moment."""

from dataclasses import dataclass
from decimal import Decimal

from app.audit.actor import COMMAND_LINE
from app.core.attribution import Attribution
from app.core.database import Database
from app.credits import service as credits
from app.credits.balance import Balance
from tests import factories
from tests.credits.uses import make_use
from tests.factories import Organization


@dataclass(frozen=True)
class Account:
    """An organization's credits; every call runs in its own transaction."""

    database: Database
    organization: Organization

    async def hold(self, reference: str, amount: str = "1") -> None:
        async with self.database.transaction() as tx:
            await credits.hold(
                tx,
                Attribution(organization_id=self.organization.id),
                reference=self.own(reference),
                amount=Decimal(amount),
                expires_in=None,
            )

    async def top_up(self, reference: str, amount: str = "1") -> None:
        async with self.database.transaction() as tx:
            await credits.open_call(
                tx,
                organization_id=self.organization.id,
                reference=self.own(reference),
                amount=Decimal(amount),
                uses=(),
            )

    async def settle(self, reference: str, cost: str = "1", *, is_estimated: bool = False) -> Decimal | None:
        async with self.database.transaction() as tx:
            use = await make_use(tx, f"{self.own(reference)}:1", cost, is_estimated=is_estimated)
            ended = await credits.settle(
                tx,
                organization_id=self.organization.id,
                reference=self.own(reference),
                uses=[use],
                description="test",
            )
        return None if ended is None else ended.charged

    async def void(self, reference: str) -> None:
        async with self.database.transaction() as tx:
            await credits.void(tx, organization_id=self.organization.id, reference=self.own(reference))

    async def grant(self, reference: str, amount: str = "1") -> bool:
        async with self.database.transaction() as tx:
            return await credits.grant(
                tx,
                organization_id=self.organization.id,
                amount=Decimal(amount),
                reference=self.own(reference),
                actor=COMMAND_LINE,
            )

    async def balance(self) -> Balance:
        return await factories.balance_of(self.database, self.organization)

    async def entries(self, kind: str) -> list[Decimal]:
        """The amounts of the ledger entries of this kind, oldest first."""
        async with self.database.transaction() as tx:
            rows = await tx.fetch(
                "SELECT amount FROM ledger_entries WHERE organization_id = $1 AND kind = $2 ORDER BY id",
                self.organization.id,
                kind,
            )
        return [row["amount"] for row in rows]

    async def check(self) -> None:
        """Assert that the ledger's entries add up to the balance, and the open holds to what is held."""
        async with self.database.transaction() as tx:
            # One snapshot: the worker of the whole run may end an expired hold at any moment.
            await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            entries = await tx.fetch(
                "SELECT amount, balance_after FROM ledger_entries WHERE organization_id = $1 ORDER BY id",
                self.organization.id,
            )
            held = await tx.fetchval(
                "SELECT coalesce(sum(amount), 0) FROM credit_holds WHERE organization_id = $1 AND state = 'open'",
                self.organization.id,
            )
            balance = await credits.get_balance(tx, self.organization.id)
        running = Decimal(0)
        for entry in entries:
            running += entry["amount"]
            assert entry["balance_after"] == running >= 0
        assert balance == Balance(running, held)
        assert 0 <= balance.held <= balance.balance

    def own(self, reference: str) -> str:
        """The reference, made unique to this account, because references are unique in the whole ledger."""
        return f"{reference}:{self.organization.id}"
