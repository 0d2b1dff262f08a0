"""What a key holds and spends in a month is counted as exactly as the balance, and never exceeds its limit."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyChanges, KeyRequest
from app.audit.actor import COMMAND_LINE
from app.core.attribution import Attribution
from app.core.database import Database
from app.core.errors import InvalidRequestError
from app.credits import service as credits
from app.credits.errors import InsufficientCreditsError, KeyCapReachedError
from tests import factories
from tests.credits.uses import make_use
from tests.factories import Organization
from tests.faults.books import faults_of

HOUR = timedelta(hours=1)


class Spender:
    """A key of an organization, and what is held and charged for it."""

    def __init__(self, database: Database, organization: Organization, key_id: str) -> None:
        self._database = database
        self.organization = organization
        self.key_id = key_id

    async def hold(self, reference: str, amount: str) -> None:
        async with self._database.transaction() as tx:
            await credits.hold(
                tx,
                Attribution(organization_id=self.organization.id, api_key_id=self.key_id),
                reference=self._own(reference),
                amount=Decimal(amount),
                expires_in=HOUR,
            )

    async def extend(self, reference: str, amount: str) -> None:
        async with self._database.transaction() as tx:
            own = self._own(reference)
            await credits.open_call(
                tx, organization_id=self.organization.id, reference=own, amount=Decimal(amount), uses=()
            )

    async def settle(self, reference: str, cost: str) -> Decimal:
        async with self._database.transaction() as tx:
            use = await make_use(tx, f"{self._own(reference)}:1", cost)
            ended = await credits.settle(
                tx, organization_id=self.organization.id, reference=self._own(reference), uses=[use], description=""
            )
        assert ended is not None
        return ended.charged

    async def charge_late(self, reference: str, cost: str) -> None:
        async with self._database.transaction() as tx:
            use = await make_use(tx, f"{self._own(reference)}:2", cost)
            await credits.charge_late(
                tx, organization_id=self.organization.id, reference=self._own(reference), uses=[use], description=""
            )

    async def void(self, reference: str) -> None:
        async with self._database.transaction() as tx:
            await credits.void(tx, organization_id=self.organization.id, reference=self._own(reference))

    async def set_cap(self, amount: str | None) -> None:
        changes = KeyChanges(monthly_credits=None if amount is None else Decimal(amount))
        async with self._database.transaction() as tx:
            await api_keys.change_key(tx, self.organization.id, self.key_id, changes, actor=COMMAND_LINE)

    async def counted(self) -> tuple[Decimal, Decimal] | None:
        """What is held and spent by its row; None without one. The books are right, too."""
        async with self._database.transaction() as tx:
            row = await tx.fetchrow("SELECT held, spent FROM key_spend WHERE api_key_id = $1", self.key_id)
        found = await faults_of(self._database, self.organization)
        async with self._database.transaction() as tx:
            wrong = await tx.fetch(_WRONG, self.key_id)
        assert (found, list(wrong)) == ([], [])
        return (row["held"], row["spent"]) if row else None

    async def begin_month_before(self) -> None:
        """Let all that was spent be of last month."""
        async with self._database.transaction() as tx:
            await tx.execute(
                "UPDATE key_spend SET month = (month - interval '1 month')::date WHERE api_key_id = $1", self.key_id
            )

    def _own(self, reference: str) -> str:
        return f"{reference}:{self.organization.id}"


# By another way than the verifier's.
_WRONG = """
SELECT s.held, s.spent FROM key_spend s WHERE api_key_id = $1 AND (
    held <> coalesce((SELECT sum(amount) FROM credit_holds WHERE api_key_id = $1 AND state = 'open'), 0)
    OR spent <> coalesce((SELECT -sum(amount) FROM ledger_entries WHERE api_key_id = $1), 0))
"""


async def spender_of(database: Database, cap: str | None, credit: str = "100") -> Spender:
    organization = await factories.make_organization(database, credit=credit)
    amount = None if cap is None else Decimal(cap)
    async with database.transaction() as tx:
        new = await api_keys.create_key(
            tx,
            KeyRequest(name="capped", monthly_credits=amount),
            organization_id=organization.id,
            user_id=organization.user_id,
            actor=COMMAND_LINE,
        )
        key_id = new.row.id
    return Spender(database, organization, key_id)


async def test_holds_and_charges_count_until_the_limit(database: Database) -> None:
    key = await spender_of(database, "3")
    await key.hold("a", "2")
    with pytest.raises(KeyCapReachedError, match=r"3\.000000 credits a month, of which 1\.000000 are left until 20"):
        await key.hold("b", "1.000001")
    await key.extend("a", "1")
    with pytest.raises(KeyCapReachedError):
        await key.extend("a", "0.000001")
    assert await key.settle("a", "0.5") == Decimal("0.5")
    await key.hold("c", "2.5")
    assert await key.counted() == (Decimal("2.5"), Decimal("0.5"))
    await key.void("c")

    assert await key.counted() == (Decimal(0), Decimal("0.5"))


async def test_a_cost_above_the_hold_is_charged_within_the_limit(database: Database) -> None:
    key = await spender_of(database, "3")
    await key.hold("a", "1")
    await key.hold("b", "1")

    assert await key.settle("a", "5") == 2
    await key.charge_late("a", "5")
    assert await key.settle("b", "1") == 1
    await key.charge_late("b", "1")

    assert await key.counted() == (Decimal(0), Decimal(3))


async def test_of_many_at_once_no_more_than_the_limit_is_held(database: Database) -> None:
    key = await spender_of(database, "1")

    async def run(number: int) -> Decimal:
        await key.hold(f"turn-{number}", "0.3")
        return await key.settle(f"turn-{number}", "0.25")

    results = await asyncio.gather(*(run(number) for number in range(20)), return_exceptions=True)

    charged = [each for each in results if isinstance(each, Decimal)]
    assert {type(each) for each in results if not isinstance(each, Decimal)} == {KeyCapReachedError}
    assert 3 <= len(charged) <= 4
    assert await key.counted() == (Decimal(0), Decimal(sum(charged)))


async def test_a_limit_that_is_set_later_counts_what_was_before_and_meanwhile(database: Database) -> None:
    key = await spender_of(database, None)
    await key.hold("before", "2")
    assert await key.settle("before", "1.5") == Decimal("1.5")
    await key.hold("open", "1")
    assert await key.counted() is None

    async def run(number: int) -> Any:
        await key.hold(f"turn-{number}", "0.01")
        return await key.settle(f"turn-{number}", "0.02")

    await asyncio.gather(key.set_cap("50"), *(run(number) for number in range(20)))

    counted = await key.counted()
    assert counted is not None
    assert counted[0] == 1
    with pytest.raises(KeyCapReachedError):
        await key.hold("more", "50")


async def test_without_the_limit_more_may_be_spent_and_it_is_counted_still(database: Database) -> None:
    key = await spender_of(database, "1")
    await key.set_cap(None)
    await key.hold("a", "2")
    assert await key.settle("a", "2") == 2
    await key.set_cap("0.5")

    with pytest.raises(KeyCapReachedError, match=r"0\.000000|of which 0 are left"):
        await key.hold("b", "0.000001")
    assert await key.counted() == (Decimal(0), Decimal(2))


async def test_a_new_month_begins_with_what_is_held(database: Database) -> None:
    key = await spender_of(database, "3")
    await key.hold("a", "2")
    await key.settle("a", "2")
    await key.hold("b", "1")
    await key.begin_month_before()

    await key.hold("c", "2")
    with pytest.raises(KeyCapReachedError):
        await key.hold("d", "0.000001")
    assert await key.settle("c", "1.5") == Decimal("1.5")
    async with database.transaction() as tx:
        row = await tx.fetchrow("SELECT held, spent FROM key_spend WHERE api_key_id = $1", key.key_id)
    assert row is not None
    assert tuple(row) == (Decimal(1), Decimal("1.5"))


async def test_what_the_balance_does_not_cover_counts_nowhere(database: Database) -> None:
    key = await spender_of(database, "3", credit="1")
    with pytest.raises(InsufficientCreditsError) as refused:
        await key.hold("a", "2")

    assert refused.value.code == "insufficient_credits"
    assert await key.counted() == (Decimal(0), Decimal(0))


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity", "0.0000001", "100000000000"])
async def test_what_is_no_limit_is_refused(database: Database, amount: str) -> None:
    with pytest.raises(InvalidRequestError):
        await spender_of(database, amount)
