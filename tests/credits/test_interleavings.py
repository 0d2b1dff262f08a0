"""Steps whose transactions overlap: one is kept open while the next waits for it, with a snapshot that is older."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import asyncpg
import pytest

from app.audit.actor import COMMAND_LINE
from app.core.attribution import Attribution
from app.core.database import Database, Transaction
from app.core.settings import Settings
from app.credits import service as credits
from app.credits import settlement
from app.credits.balance import Balance
from app.credits.errors import InsufficientCreditsError
from app.credits.metering import MeteredUse
from app.organizations import service as organizations
from tests.credits.accounts import Account
from tests.credits.uses import make_use
from tests.factories import Organization

Step = Callable[[Account, Transaction], Awaitable[object]]


async def use_of(account: Account, call: str, cost: str = "1") -> MeteredUse:
    async with account.database.transaction() as tx:
        return await make_use(tx, account.own(call), cost)


def hold(reference: str, amount: str, expires_in: timedelta | None = None) -> Step:
    async def step(account: Account, tx: Transaction) -> None:
        await credits.hold(
            tx,
            Attribution(organization_id=account.organization.id),
            reference=account.own(reference),
            amount=Decimal(amount),
            expires_in=expires_in,
        )

    return step


def open_call(reference: str, amount: str, **costs: str) -> Step:
    async def step(account: Account, tx: Transaction) -> None:
        uses = [await make_use(tx, account.own(call), cost) for call, cost in costs.items()]
        await credits.open_call(
            tx,
            organization_id=account.organization.id,
            reference=account.own(reference),
            amount=Decimal(amount),
            uses=uses,
        )

    return step


def settle(reference: str, **costs: str) -> Step:
    async def step(account: Account, tx: Transaction) -> object:
        uses = [await make_use(tx, account.own(call), cost) for call, cost in costs.items()]
        return await credits.settle(
            tx,
            organization_id=account.organization.id,
            reference=account.own(reference),
            uses=uses,
            description="test",
        )

    return step


def sweep(reference: str) -> Step:
    """What the sweeper does with one hold that has expired."""

    async def step(account: Account, tx: Transaction) -> None:
        await settlement.lock_account(tx, account.organization.id)
        await settle(reference)(account, tx)

    return step


def charge_late(reference: str, **costs: str) -> Step:
    async def step(account: Account, tx: Transaction) -> None:
        uses = [await make_use(tx, account.own(call), cost) for call, cost in costs.items()]
        await credits.charge_late(
            tx,
            organization_id=account.organization.id,
            reference=account.own(reference),
            uses=uses,
            description="test",
        )

    return step


def supersede(reference: str, by: str) -> Step:
    async def step(account: Account, tx: Transaction) -> None:
        await credits.supersede(
            tx,
            organization_id=account.organization.id,
            reference=account.own(reference),
            by_reference=account.own(by),
        )

    return step


def void(reference: str) -> Step:
    async def step(account: Account, tx: Transaction) -> None:
        await credits.void(tx, organization_id=account.organization.id, reference=account.own(reference))

    return step


def grant(reference: str, amount: str) -> Step:
    async def step(account: Account, tx: Transaction) -> None:
        await credits.grant(
            tx,
            organization_id=account.organization.id,
            amount=Decimal(amount),
            reference=account.own(reference),
            actor=COMMAND_LINE,
        )

    return step


async def take(account: Account, step: Step) -> str:
    """Take the step in a transaction of its own. Returns whether it was refused."""
    try:
        async with account.database.transaction() as tx:
            await step(account, tx)
    except (InsufficientCreditsError, asyncpg.UniqueViolationError) as error:
        return type(error).__name__
    return "taken"


class RolledBackError(Exception):
    """Ends a transaction without effect."""


async def overlap(account: Account, first: Step, second: Step, *, commits: bool = True) -> list[str]:
    """Take the first step, then the second before the first one's transaction has ended. It waits where it must."""
    outcomes = ["taken"]
    waiting: asyncio.Task[str] | None = None
    try:
        async with account.database.transaction() as tx:
            await first(account, tx)
            waiting = asyncio.create_task(take(account, second))
            await _until_it_waits(account.database, waiting)
            if not commits:
                raise RolledBackError
    except RolledBackError:
        outcomes = []
    except InsufficientCreditsError as error:
        outcomes = [type(error).__name__]
    outcomes.append(await (waiting or take(account, second)))
    return outcomes


async def _until_it_waits(database: Database, task: asyncio.Task[Any]) -> None:
    while not task.done():
        async with database.transaction() as tx:
            if await tx.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                return
        await asyncio.sleep(0.002)


async def books_of(account: Account) -> str:
    """Everything that is stored about the account's credits, in one text that is the same for equal accounts."""
    await account.check()
    async with account.database.transaction() as tx:
        tables = [
            await tx.fetch(sql, account.organization.id)
            for sql in (
                "SELECT balance, held FROM credit_accounts WHERE organization_id = $1",
                (
                    "SELECT reference, amount, state, charged, superseded_by, calls_opened FROM credit_holds"
                    " WHERE organization_id = $1 ORDER BY reference"
                ),
                "SELECT call_id, hold_reference, cost FROM metering_events WHERE organization_id = $1 ORDER BY call_id",
                "SELECT kind, reference, amount FROM ledger_entries WHERE organization_id = $1 ORDER BY id",
            )
        ]
    return repr([[tuple(row) for row in table] for table in tables]).replace(account.organization.id, "")


async def new_account(database: Database, *before: Step) -> Account:
    name = f"org {secrets.token_hex(6)}"
    async with database.transaction() as tx:
        made = await organizations.create_organization(
            tx, name=name, plan="roomy", owner_email=f"{name[4:]}@example.com", actor=COMMAND_LINE
        )
        await credits.open_account(tx, made.id)
    account = Account(database, Organization(made.id, name, "", ""))
    assert await account.grant("first", "7")
    for step in before:
        assert await take(account, step) == "taken"
    return account


BEFORE: dict[str, Sequence[Step]] = {
    "nearly all is held": [hold("a", "2"), open_call("a", "0", c1="0.5"), hold("other", "4.75")],
    "settled": [hold("a", "2"), open_call("a", "0", c1="0.5"), settle("a")],
    "voided": [hold("a", "2"), void("a")],
}
STEPS: dict[str, Step] = {
    "open call": open_call("a", "0.125", c2="0.25"),
    "settle": settle("a", c1="0.5", c2="0.25", c3="1.5"),
    "settle above the hold": settle("a", c2="0.25", c4="8"),
    "sweep": sweep("a"),
    "charge late": charge_late("a", c2="0.25", c3="1.5"),
    "supersede": supersede("a", by="b"),
    "supersede again": supersede("a", by="c"),
    "void": void("a"),
    "grant": grant("gift", "2"),
    "hold": hold("x", "0.25"),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("first", STEPS)
async def test_two_steps_that_overlap_end_as_one_after_the_other(database: Database, before: str, first: str) -> None:
    for second in STEPS.values():
        in_turn = await new_account(database, *BEFORE[before])
        overlapping = await new_account(database, *BEFORE[before])

        expected = [await take(in_turn, STEPS[first]), await take(in_turn, second)]

        assert await overlap(overlapping, STEPS[first], second) == expected
        assert await books_of(overlapping) == await books_of(in_turn)


@pytest.mark.parametrize("first", STEPS)
async def test_a_step_that_waited_for_one_that_is_rolled_back_ends_as_if_alone(database: Database, first: str) -> None:
    for second in STEPS.values():
        alone = await new_account(database, *BEFORE["nearly all is held"])
        overlapping = await new_account(database, *BEFORE["nearly all is held"])

        expected = [await take(alone, second)]

        assert (await overlap(overlapping, STEPS[first], second, commits=False))[-1:] == expected
        assert await books_of(overlapping) == await books_of(alone)


async def test_a_use_that_is_recorded_while_a_settlement_waits_is_charged(account: Account) -> None:
    await take(account, hold("a", "2"))

    await overlap(account, open_call("a", "0", recorded="0.5"), settle("a", own="0.25"))
    await take(account, charge_late("a", recorded="0.5", own="0.25"))

    assert sum(await account.entries("charge")) == Decimal("-0.75")


async def test_a_use_that_was_charged_with_another_hold_is_not_charged_again(account: Account) -> None:
    for reference in "ab":
        await take(account, hold(reference, "2"))

    await take(account, settle("a", call="1"))
    await take(account, settle("b", call="1"))

    assert sum(await account.entries("charge")) == -1


async def test_a_use_that_is_listed_twice_is_charged_once(account: Account) -> None:
    await take(account, hold("a", "3"))
    use = await use_of(account, "call", "1")

    async with account.database.transaction() as tx:
        await credits.settle(
            tx,
            organization_id=account.organization.id,
            reference=account.own("a"),
            uses=[use, use],
            description="test",
        )

    assert await account.entries("charge") == [-1]


async def test_a_charge_is_the_sum_of_its_events_to_the_last_decimal(account: Account) -> None:
    await take(account, hold("a", "3"))

    await take(account, settle("a", c1="0.0000004", c2="0.0000004", c3="0.0000004"))

    async with account.database.transaction() as tx:
        recorded = await tx.fetchval(
            "SELECT sum(cost) FROM metering_events WHERE organization_id = $1", account.organization.id
        )
    assert sum(await account.entries("charge")) == -recorded


async def test_a_use_is_recorded_with_its_own_times_however_long_its_settlement_waits(account: Account) -> None:
    await take(account, hold("a", "3"))
    use = replace(await use_of(account, "call"), ended_at=time.monotonic())
    async with account.database.transaction() as tx:
        ended_at = await tx.fetchval("SELECT clock_timestamp()")

    async def settle_it(account: Account, tx: Transaction) -> None:
        await credits.settle(
            tx, organization_id=account.organization.id, reference=account.own("a"), uses=[use], description="test"
        )

    async def pause(account: Account, tx: Transaction) -> None:
        await settlement.lock_account(tx, account.organization.id)

    async with account.database.transaction() as tx:
        await pause(account, tx)
        waiting = asyncio.create_task(take(account, settle_it))
        await asyncio.sleep(1)
    await waiting

    async with account.database.transaction() as tx:
        recorded = await tx.fetchval("SELECT ended_at FROM metering_events WHERE call_id = $1", use.call_id)
    assert abs(recorded - ended_at) < timedelta(seconds=0.5)


async def test_an_account_that_is_locked_does_not_keep_the_sweeper_from_others(
    account: Account, database: Database
) -> None:
    expired = hold("a", "1", timedelta(seconds=-1))
    await take(account, expired)
    other = await new_account(database, expired)

    async with database.transaction() as tx:
        await settlement.lock_account(tx, account.organization.id)
        async with asyncio.timeout(8):
            await credits.settle_expired(database)

    assert (await other.balance()).held == 0


async def test_a_hold_that_cannot_be_settled_does_not_keep_the_sweeper_from_others(
    account: Account, database: Database
) -> None:
    # The ledger has this reference already, so that no charge can be entered under it.
    await account.grant("a", "1")
    await take(account, hold("a", "1", timedelta(seconds=-2)))
    await take(account, open_call("a", "0", call="0.5"))
    other = await new_account(database, hold("a", "1", timedelta(seconds=-1)))

    try:
        await credits.settle_expired(database)
        assert (await other.balance()).held == 0
    finally:
        await account.void("a")
        await credits.settle_expired(database)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "1E+12"])
@pytest.mark.parametrize("ending", [settle, charge_late])
async def test_a_use_with_a_cost_that_is_none_changes_nothing(
    account: Account, ending: Callable[..., Step], value: str
) -> None:
    await take(account, hold("a", "2"))
    if ending is charge_late:
        await account.void("a")
    before = await books_of(account)

    with pytest.raises(asyncpg.PostgresError):
        await take(account, ending("a", fine="0.5", malformed=value))

    assert await books_of(account) == before


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
async def test_a_use_that_took_no_time_that_can_be_told_is_refused(account: Account, value: str) -> None:
    await take(account, hold("a", "2"))
    use = replace(await use_of(account, "call"), predict_time=Decimal(value))

    with pytest.raises(asyncpg.PostgresError):
        async with account.database.transaction() as tx:
            await credits.settle(
                tx, organization_id=account.organization.id, reference=account.own("a"), uses=[use], description="test"
            )


@dataclass
class Run:
    """One run of an action, of which any step may be taken twice, and whose hold others end meanwhile."""

    account: Account
    reference: str
    random: Random
    uses: dict[str, str]

    async def live(self) -> None:
        await self._take(hold(self.reference, "0.2", timedelta(0)))
        for _ in range(self.random.randrange(3)):
            last = list(self.uses.items())[-self.random.randrange(3) :]
            if await self._again(open_call(self.reference, "0.01", **dict(last))) != "taken":
                break
            self.uses[f"{self.reference}-{len(self.uses)}"] = f"0.00{self.random.randrange(1, 9)}"
        # As after a lost reply: the steps are taken again, maybe while they are still being taken.
        await self._again(self._end)

    async def _end(self, account: Account, tx: Transaction) -> None:
        if await settle(self.reference, **self.uses)(account, tx) is None:
            await charge_late(self.reference, **self.uses)(account, tx)

    async def _again(self, step: Step) -> str:
        if self.random.random() < 0.5:
            return await self._take(step)
        return min(await asyncio.gather(self._take(step), self._take(step)), key="taken".__ne__)

    async def _take(self, step: Step) -> str:
        await asyncio.sleep(self.random.random() * 0.01)
        return await take(self.account, step)


@pytest.mark.parametrize("seed", range(5))
async def test_each_use_is_charged_once_whatever_overlaps(database: Database, seed: int) -> None:
    random = Random(seed)
    account = await new_account(database, grant("plenty", "100"))
    runs = [Run(account, f"run{number}", random, {f"run{number}-0": "0.001"}) for number in range(12)]
    superseded = {run.reference for run in runs if random.random() < 0.4}

    async def disturb(run: Run) -> None:
        await asyncio.sleep(random.random() * 0.05)
        if random.random() < 0.5:
            await take(account, sweep(run.reference))
        if run.reference in superseded:
            await asyncio.gather(*(take(account, supersede(run.reference, by=by)) for by in "xy"))

    await asyncio.gather(*(run.live() for run in runs), *(disturb(run) for run in runs))
    for reference in superseded:
        # One that came before its hold has ended nothing.
        await take(account, supersede(reference, by="z"))

    due = sum(Decimal(cost) for run in runs if run.reference not in superseded for cost in run.uses.values())
    assert await account.balance() == Balance(Decimal(107) - due, Decimal(0))
    await account.check()
    async with database.transaction() as tx:
        recorded = await tx.fetch(
            "SELECT call_id FROM metering_events WHERE organization_id = $1", account.organization.id
        )
    kept = {account.own(call) for run in runs if run.reference not in superseded for call in run.uses}
    assert kept <= {row["call_id"] for row in recorded}


@pytest.fixture
async def own_pool(environment: dict[str, str]) -> AsyncIterator[Database]:
    """A pool that no other test uses, of one connection."""
    values = {**environment, "DATABASE_POOL_SIZE": "1"}
    opened = Database.open(Settings.model_validate({name.lower(): value for name, value in values.items()}))
    yield opened
    await opened.close()


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_step_that_is_cancelled_leaves_no_lock_and_no_broken_connection(
    account: Account, own_pool: Database, times: int
) -> None:
    async def wait_with_the_lock(is_locked: asyncio.Event) -> None:
        async with own_pool.transaction() as tx:
            await settlement.lock_account(tx, account.organization.id)
            is_locked.set()
            while True:
                await tx.execute("SELECT 1")

    for _ in range(5):
        is_locked = asyncio.Event()
        waiting = asyncio.create_task(wait_with_the_lock(is_locked))
        await is_locked.wait()
        # Cancelled again while it rolls back, as by a time limit after a shutdown, or by a scope of anyio.
        for _ in range(times):
            waiting.cancel()
            await asyncio.sleep(0)
        await asyncio.wait({waiting})

        async with asyncio.timeout(5):
            await account.grant(secrets.token_hex(4))
        async with own_pool.transaction() as tx:
            await tx.fetchval("SELECT 1")


@pytest.mark.parametrize("turns", range(12))
async def test_after_a_step_that_is_cancelled_when_it_begins_the_next_one_is_committed(
    account: Account, own_pool: Database, turns: int
) -> None:
    async def nothing() -> None:
        async with own_pool.transaction():
            pass

    await nothing()
    beginning = asyncio.create_task(nothing())
    # So many turns of the event loop, and the connection is being checked, or BEGIN is under way, or COMMIT.
    for _ in range(turns):
        await asyncio.sleep(0)
    beginning.cancel()
    await asyncio.wait({beginning})

    await take(replace(account, database=own_pool), grant("gift", "1"))

    assert (await account.balance()).balance == 8
