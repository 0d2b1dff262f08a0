"""Holds are settled from the metering events that are recorded for them, whoever settles them, and each event once."""

import asyncio
import uuid
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest

from app.core.attribution import ATTRIBUTION_COLUMNS, Attribution
from app.core.database import Database
from app.credits import service as credits
from app.credits.balance import Balance
from app.credits.errors import InsufficientCreditsError, MaxCreditsReachedError
from tests.credits.accounts import Account
from tests.credits.uses import make_use

HOUR = timedelta(hours=1)


async def record(account: Account, reference: str, call: str, cost: str = "1", *, more: str = "0") -> None:
    """Open a further call on the hold, which records that `call` has been made before."""
    async with account.database.transaction() as tx:
        use = await make_use(tx, f"{account.own(reference)}:{call}", cost)
        await credits.open_call(
            tx,
            organization_id=account.organization.id,
            reference=account.own(reference),
            amount=Decimal(more),
            uses=[use],
        )


async def expire(account: Account, reference: str) -> None:
    """Let the hold expire, as after a crash, and run the sweep."""
    async with account.database.transaction() as tx:
        await tx.execute(
            "UPDATE credit_holds SET expires_at = now() - interval '1 s' WHERE reference = $1", account.own(reference)
        )
    await credits.settle_expired(account.database)


async def charge_late(account: Account, reference: str, call: str, cost: str = "1") -> None:
    async with account.database.transaction() as tx:
        use = await make_use(tx, f"{account.own(reference)}:{call}", cost)
        await credits.charge_late(
            tx,
            organization_id=account.organization.id,
            reference=account.own(reference),
            uses=[use],
            description="test",
        )


async def supersede(account: Account, reference: str, by: str) -> None:
    async with account.database.transaction() as tx:
        await credits.supersede(
            tx,
            organization_id=account.organization.id,
            reference=account.own(reference),
            by_reference=account.own(by),
        )


async def row_of(account: Account, sql: str, *values: object) -> asyncpg.Record:
    async with account.database.transaction() as tx:
        row = await tx.fetchrow(sql, *values)
    assert row is not None
    return row


async def count_events(account: Account) -> int:
    row = await row_of(
        account, "SELECT count(*) FROM metering_events WHERE organization_id = $1", account.organization.id
    )
    return int(row[0])


async def test_everything_that_was_recorded_for_a_hold_is_charged(account: Account) -> None:
    await account.hold("a", "3")
    await record(account, "a", "first", "0.5")
    await record(account, "a", "second", "0.25")

    assert await account.settle("a", "0.125") == Decimal("0.875")
    assert await count_events(account) == 3


async def test_a_use_that_is_written_again_counts_once(account: Account) -> None:
    await account.hold("a", "3")
    # `settle` of the test's account writes the call "1".
    await record(account, "a", "1", "0.5")
    await record(account, "a", "1", "0.5")

    assert await account.settle("a", "0.5") == Decimal("0.5")
    assert await count_events(account) == 1


async def test_opening_a_call_holds_more_and_counts_it(account: Account) -> None:
    await account.hold("a", "1")
    await record(account, "a", "first", more="2.5")

    hold = await row_of(account, "SELECT amount, calls_opened FROM credit_holds WHERE reference = $1", account.own("a"))
    assert tuple(hold) == (Decimal("3.5"), 1)
    assert (await account.balance()).held == Decimal("3.5")


async def test_of_a_crashed_action_what_it_recorded_is_charged(account: Account) -> None:
    await account.hold("a", "3")
    await record(account, "a", "first", "0.5")
    await account.hold("nothing used", "2")

    await expire(account, "a")
    await expire(account, "nothing used")

    assert await account.balance() == Balance(Decimal("6.5"), Decimal(0))
    states = await row_of(
        account,
        "SELECT array_agg(state ORDER BY reference) FROM credit_holds WHERE organization_id = $1",
        account.organization.id,
    )
    assert states[0] == ["settled", "voided"]


async def test_a_call_that_was_free_is_recorded_and_does_not_settle_the_hold(account: Account) -> None:
    await account.hold("a", "3")
    async with account.database.transaction() as tx:
        use = await make_use(tx, account.own("free"), "0", tokens=0)
        await credits.settle(
            tx, organization_id=account.organization.id, reference=account.own("a"), uses=[use], description=""
        )

    assert await account.entries("charge") == []
    assert await account.balance() == Balance(Decimal(7), Decimal(0))
    assert await count_events(account) == 1


async def test_a_use_that_comes_late_is_charged_under_its_own_reference(account: Account) -> None:
    await account.hold("a", "3")
    await record(account, "a", "first", "0.5")
    await expire(account, "a")

    assert await account.settle("a", "0.25") is None
    for _ in range(2):
        await charge_late(account, "a", "1", "0.25")
    # It was charged with the hold.
    await charge_late(account, "a", "first", "0.5")

    assert await account.entries("charge") == [Decimal("-0.5"), Decimal("-0.25")]
    entry = await row_of(
        account, "SELECT quantities FROM ledger_entries WHERE reference = $1", f"late:{account.own('a')}:1"
    )
    assert entry["quantities"][0]["cost"] == "0.250000"


async def test_a_late_use_takes_no_more_than_what_is_available(account: Account) -> None:
    await account.hold("a", "1")
    await expire(account, "a")
    await account.hold("b", "5")

    await charge_late(account, "a", "1", "3")

    assert await account.balance() == Balance(Decimal(5), Decimal(5))


async def test_a_late_use_of_a_hold_that_is_open_or_unknown_changes_nothing(account: Account) -> None:
    await account.hold("a", "1")

    await charge_late(account, "a", "1")
    await charge_late(account, "b", "1")

    assert await account.balance() == Balance(Decimal(7), Decimal(1))
    assert await count_events(account) == 0


async def test_a_superseded_hold_is_released_and_nothing_of_it_is_charged(account: Account) -> None:
    await account.hold("a", "3")
    await record(account, "a", "first", "0.5")

    await supersede(account, "a", by="b")
    await supersede(account, "a", by="c")
    assert await account.settle("a", "1") is None
    await charge_late(account, "a", "1")

    assert await account.balance() == Balance(Decimal(7), Decimal(0))
    assert await account.entries("charge") == []
    assert await count_events(account) == 2
    hold = await row_of(account, "SELECT state, superseded_by FROM credit_holds WHERE reference = $1", account.own("a"))
    assert tuple(hold) == ("voided", account.own("b"))


async def test_what_a_superseded_hold_was_charged_is_given_back(account: Account) -> None:
    await account.hold("a", "3")
    await record(account, "a", "first", "0.5")
    await expire(account, "a")
    await charge_late(account, "a", "1", "0.25")

    for _ in range(2):
        await supersede(account, "a", by="b")

    assert await account.entries("adjustment") == [Decimal("0.75")]
    assert await account.balance() == Balance(Decimal(7), Decimal(0))


async def test_a_hold_of_another_organization_is_neither_superseded_nor_charged_late(
    account: Account, database: Database
) -> None:
    await account.hold("a", "3")
    await account.settle("a", "1")
    before = await account.balance()

    async with database.transaction() as tx:
        await credits.supersede(
            tx, organization_id="org-other", reference=account.own("a"), by_reference=account.own("b")
        )
        use = await make_use(tx, account.own("late"))
        await credits.charge_late(
            tx, organization_id="org-other", reference=account.own("a"), uses=[use], description=""
        )

    assert await account.balance() == before
    assert await count_events(account) == 1


@pytest.mark.parametrize("order", ["sweep first", "process first"])
async def test_a_sweep_and_the_process_itself_charge_each_use_once(account: Account, order: str) -> None:
    async def settle_as_its_process(reference: str) -> None:
        if await account.settle(reference, "0.1") is None:
            await charge_late(account, reference, "1", "0.1")

    for number in range(10):
        await account.hold(f"race-{number}", "0.3")
        steps = [expire(account, f"race-{number}"), settle_as_its_process(f"race-{number}")]
        await asyncio.gather(*(steps if order == "sweep first" else reversed(steps)))

    assert await account.balance() == Balance(Decimal(6), Decimal(0))


async def test_a_charge_says_for_whom_and_for_how_much_of_what_it_is(account: Account) -> None:
    origin = Attribution(
        organization_id=account.organization.id,
        user_id="user",
        api_key_id="key",
        agent="agent",
        model="model",
        session_id=uuid.uuid4(),
        turn_id="turn",
        request_id="request",
        traceparent="00-1-2-00",
    )
    async with account.database.transaction() as tx:
        await credits.hold(tx, origin, reference=account.own("a"), amount=Decimal(2), expires_in=HOUR)
    await record(account, "a", "first", "0.375")
    await account.settle("a", "0.375")

    columns = ", ".join(ATTRIBUTION_COLUMNS)
    entry = await row_of(
        account, f"SELECT {columns}, quantities FROM ledger_entries WHERE reference = $1", account.own("a")
    )
    event = await row_of(
        account, f"SELECT {columns} FROM metering_events WHERE call_id = $1", f"{account.own('a')}:first"
    )
    assert tuple(entry)[:-1] == origin.values()
    assert [(price["calls"], price["prompt_tokens"], price["cost"]) for price in entry["quantities"]] == [
        (2, 2, "0.750000")
    ]
    # The event has its own call's agent and model.
    own = {"agent": "test", "model": "sim-metered"}
    assert tuple(event) == tuple(own.get(name, getattr(origin, name)) for name in ATTRIBUTION_COLUMNS)


@pytest.mark.parametrize("change", ["UPDATE metering_events SET cost = 0", "DELETE FROM metering_events"])
async def test_an_event_is_never_changed(account: Account, change: str) -> None:
    with pytest.raises(asyncpg.RaiseError, match="only ever added"):
        async with account.database.transaction() as tx:
            await tx.execute(change)


async def hold_at_most(account: Account, most: str, amount: str = "1") -> None:
    async with account.database.transaction() as tx:
        await credits.hold(
            tx,
            Attribution(organization_id=account.organization.id),
            reference=account.own("a"),
            amount=Decimal(amount),
            expires_in=HOUR,
            most=Decimal(most),
        )


async def share(account: Account, amount: str, needed: str = "0") -> Decimal:
    async with account.database.transaction() as tx:
        return await credits.share(
            tx,
            organization_id=account.organization.id,
            reference=account.own("a"),
            amount=Decimal(amount),
            needed=Decimal(needed),
        )


async def test_a_hold_is_neither_extended_nor_charged_beyond_its_most(account: Account) -> None:
    await hold_at_most(account, "2")
    await account.top_up("a", "1")
    with pytest.raises(InsufficientCreditsError):
        await account.top_up("a", "0.000001")

    assert await account.settle("a", "2.5") == 2
    await account.check()


async def test_an_expired_hold_is_charged_no_more_than_its_most_with_what_comes_late(account: Account) -> None:
    await hold_at_most(account, "2")
    await record(account, "a", "first", "1.5")
    await expire(account, "a")
    await charge_late(account, "a", "second", "0.3")
    await charge_late(account, "a", "third", "5")
    await charge_late(account, "a", "fourth", "5")

    assert await account.entries("charge") == [-Decimal("1.5"), -Decimal("0.3"), -Decimal("0.2"), 0]
    await expire(account, "a")
    await account.check()


async def test_what_is_shared_is_held_and_charged_no_more(account: Account) -> None:
    await hold_at_most(account, "3", "3")

    assert await share(account, "2", needed="0.5") == 1
    assert (await account.balance()).held == 1
    with pytest.raises(MaxCreditsReachedError):
        await share(account, "0.6", needed="0.5")
    assert await account.settle("a", "2") == 1
    with pytest.raises(MaxCreditsReachedError):
        await share(account, "0.1")
    await account.check()


async def test_of_many_that_share_at_once_none_takes_too_much(account: Account) -> None:
    await hold_at_most(account, "2")

    taken = await asyncio.gather(*(share(account, "0.3") for _ in range(10)), return_exceptions=True)

    assert sum(not isinstance(each, BaseException) for each in taken) == 6
    assert await account.settle("a", "1") == Decimal("0.2")
    await account.check()
