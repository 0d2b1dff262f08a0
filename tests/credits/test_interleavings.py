"""Steps whose transactions overlap: one is kept open while the next waits for it, with a snapshot that is older."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from random import Random

import asyncpg
import pytest

from app.core.database import Database, Transaction
from app.credits import service as credits
from app.credits import settlement
from app.credits.balance import Balance
from tests.credits.accounts import Account
from tests.credits.steps import (
    Step,
    books_of,
    charge_late,
    grant,
    hold,
    new_account,
    open_call,
    overlap,
    settle,
    supersede,
    sweep,
    take,
    use_of,
    void,
)

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
