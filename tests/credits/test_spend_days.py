"""What is spent each day is exactly what the ledger says, whether it is summed up yet or not."""

import asyncio
import random
import secrets
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from app.core.database import Database
from app.credits import spend_days
from app.credits.references import LATE, SUPERSEDED
from app.credits.spend_days import Split
from app.credits.summing import sum_up_spend
from tests import factories
from tests.credits.spending import Call, Origin, add_charge, add_entry, add_event
from tests.factories import Organization
from tests.faults.books import faults_of

_FIRST, _LAST = date(2026, 3, 1), date(2026, 3, 31)
_NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
_COLUMNS = {Split.MODEL: "model", Split.AGENT: "agent", Split.KEY: "api_key_id", Split.USER: "user_id"}


async def _spent(
    database: Database,
    organization: Organization,
    split: Split = Split.MODEL,
    *,
    most: int = 50,
    user: str | None = None,
) -> dict[tuple[date, str | None], Decimal]:
    async with database.transaction() as tx:
        found = await spend_days.spend_by_day(
            tx, organization.id, split, first=_FIRST, last=_LAST, most=most, user_id=user
        )
    assert len({(one.day, one.name) for one in found}) == len(found)
    return {(one.day, one.name): one.spend.amount for one in found}


async def _entered(database: Database, organization: Organization) -> Mapping[date, Decimal]:
    """What the ledger's entries took on each day."""
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT (created_at AT TIME ZONE 'UTC')::date AS day, sum(amount) AS amount FROM ledger_entries"
            " WHERE organization_id = $1 AND kind = 'charge' GROUP BY 1",
            organization.id,
        )
    return {row["day"]: -row["amount"] for row in rows}


async def _wrong_sums(database: Database, organization: Organization) -> list[str]:
    """What `junis verify-ledger` says of the sums. The charges of these tests have prices of other models."""
    return [fault for fault in await faults_of(database, organization) if "summed up" in fault]


async def _sum_up(database: Database, organization: Organization, limit: int) -> int:
    async with database.transaction() as tx:
        return await spend_days.sum_up(tx, organization.id, limit)


@pytest.mark.parametrize("seed", range(4))
async def test_every_split_adds_up_to_the_ledger_at_any_mark(
    database: Database, organization: Organization, seed: int
) -> None:
    chance = random.Random(seed)
    expected: dict[Split, dict[tuple[date, str], Decimal]] = {split: defaultdict(Decimal) for split in Split}
    async with database.transaction() as tx:
        for _ in range(40):
            at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(31 * 86400))
            origin = Origin(
                organization_id=organization.id,
                user_id=chance.choice(["user-a", "user-b", None]),
                api_key_id=chance.choice(["key-a", "key-b", "key-c"]),
            )
            calls = [
                Call(f"{chance.randrange(1, 10**6)}e-6", chance.choice("xyz"), chance.choice(["m1", "m2", "m3"]))
                for _ in range(chance.randrange(1, 5))
            ]
            await add_charge(tx, origin, at, calls)
            for call in calls:
                named = {"model": call.model, "agent": call.agent, "api_key_id": origin.api_key_id}
                named["user_id"] = origin.user_id or ""
                for split in Split:
                    expected[split][(at.date(), named[_COLUMNS[split]] or "")] += Decimal(call.cost)
    entered = await _entered(database, organization)

    for limit in (0, 7, 11, 100):
        await _sum_up(database, organization, limit)
        for split in Split:
            spent = await _spent(database, organization, split)
            assert spent == dict(expected[split])
            by_day: dict[date, Decimal] = defaultdict(Decimal)
            for (day, _), amount in spent.items():
                by_day[day] += amount
            assert by_day == entered
    assert await _wrong_sums(database, organization) == []


async def test_only_as_much_as_was_charged_is_spent_and_the_first_calls_come_first(
    database: Database, organization: Organization
) -> None:
    calls = [Call("0.5", model="m1"), Call("0.25", model="m2"), Call("0.25", model="m3")]
    async with database.transaction() as tx:
        await add_charge(tx, Origin(organization_id=organization.id), _NOON, calls, charged="0.600001")

    day = _NOON.date()
    assert await _spent(database, organization) == {
        (day, "m1"): Decimal("0.5"),
        (day, "m2"): Decimal("0.100001"),
        (day, "m3"): Decimal(0),
    }


async def test_late_charges_count_by_themselves_and_what_is_given_back_is_subtracted(
    database: Database, organization: Organization
) -> None:
    origin = Origin(organization_id=organization.id, model="m1")
    async with database.transaction() as tx:
        reference = await add_charge(tx, origin, _NOON, [Call("0.5", model="m1")])
        late = f"{reference}:late"
        await add_event(tx, origin, _NOON + timedelta(minutes=5), reference, late, Call("0.125", model="m2"))
        await add_entry(tx, origin, _NOON + timedelta(minutes=5), f"{LATE}:{late}", Decimal("-0.125"))
    day = _NOON.date()
    assert await _spent(database, organization) == {(day, "m1"): Decimal("0.5"), (day, "m2"): Decimal("0.125")}

    await _sum_up(database, organization, 100)
    async with database.transaction() as tx:
        at = _NOON + timedelta(days=1)
        await add_entry(tx, origin, at, f"{SUPERSEDED}:{reference}", Decimal("0.625"), kind="adjustment")

    spent = await _spent(database, organization)
    assert spent[(at.date(), "m1")] == Decimal("-0.625")
    assert sum(spent.values()) == 0


async def test_grants_and_adjustments_are_not_spending_and_old_charges_have_their_own_model(
    database: Database, organization: Organization
) -> None:
    origin = Origin(organization_id=organization.id, agent=None, model=None)
    async with database.transaction() as tx:
        await add_entry(tx, origin, _NOON, f"old:{secrets.token_hex(4)}", Decimal("-0.75"))
        await add_entry(tx, origin, _NOON, f"mended:{secrets.token_hex(4)}", Decimal(-3), kind="adjustment")

    assert await _spent(database, organization) == {(_NOON.date(), ""): Decimal("0.75")}


async def test_a_day_begins_at_midnight_in_utc(database: Database, organization: Organization) -> None:
    midnight = datetime(2026, 3, 10, tzinfo=UTC)
    async with database.transaction() as tx:
        for at in (midnight - timedelta(microseconds=1), midnight):
            await add_charge(tx, Origin(organization_id=organization.id), at, [Call("1", model="m")])

    assert set(await _spent(database, organization)) == {(date(2026, 3, 9), "m"), (date(2026, 3, 10), "m")}


async def test_the_smallest_beyond_the_most_are_one_sum_that_says_of_how_many(
    database: Database, organization: Organization
) -> None:
    async with database.transaction() as tx:
        calls = [Call(f"0.{number:06}", model=f"m{number}") for number in range(1, 6)]
        await add_charge(tx, Origin(organization_id=organization.id), _NOON, calls)
        found = await spend_days.spend_by_day(tx, organization.id, Split.MODEL, first=_FIRST, last=_LAST, most=2)

    named = {one.name: (one.others, one.spend.amount) for one in found}
    assert named == {
        "m5": (1, Decimal("0.000005")),
        "m4": (1, Decimal("0.000004")),
        None: (3, Decimal("0.000006")),
    }


async def test_what_is_picked_and_whose_it_is_alone_counts(database: Database, organization: Organization) -> None:
    async with database.transaction() as tx:
        for user, key in (("u1", "k1"), ("u1", "k2"), ("u2", "k3")):
            origin = Origin(organization_id=organization.id, user_id=user, api_key_id=key)
            await add_charge(tx, origin, _NOON, [Call("1")])
        found = await spend_days.spend_by_day(
            tx, organization.id, Split.KEY, first=_FIRST, last=_LAST, most=9, picked=["k2", "k3"]
        )
        total = await spend_days.total_spend(tx, organization.id, first=_FIRST, last=_LAST, user_id="u1")

    assert {one.name for one in found} == {"k2", "k3"}
    assert (total.amount, total.charges, total.calls) == (Decimal(2), 2, 2)
    assert (total.prompt_tokens, total.completion_tokens) == (20, 10)
    assert set(await _spent(database, organization, Split.KEY, user="u2")) == {(_NOON.date(), "k3")}


async def test_many_workers_sum_up_each_entry_once(database: Database) -> None:
    made = [await factories.make_organization(database) for _ in range(3)]
    async with database.transaction() as tx:
        for organization in made:
            for _ in range(5):
                await add_charge(tx, Origin(organization_id=organization.id), _NOON, [Call("1", model="m")])

    await asyncio.gather(*(sum_up_spend(database) for _ in range(5)))

    for organization in made:
        assert await _spent(database, organization) == {(_NOON.date(), "m"): Decimal(5)}
        assert await _wrong_sums(database, organization) == []
        async with database.transaction() as tx:
            rows = await tx.fetch("SELECT amount FROM spend_days WHERE organization_id = $1", organization.id)
            assert organization.id not in await spend_days.find_behind(tx)
        assert [row["amount"] for row in rows] == [Decimal(5)]


async def test_others_see_nothing_of_it(database: Database, organization: Organization) -> None:
    other = await factories.make_organization(database)
    async with database.transaction() as tx:
        await add_charge(tx, Origin(organization_id=other.id), _NOON, [Call("1")])

    assert await _spent(database, organization) == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE spend_days SET amount = amount + 0.000001 WHERE organization_id = $1", "1.000001 credits are summed"),
        ("DELETE FROM spend_days WHERE organization_id = $1", "but its entries took 1.000000"),
        ("UPDATE spend_days SET day = day + 1 WHERE organization_id = $1", "on 2026-03-11, 1.000000 credits are"),
        ("UPDATE spend_marks SET entry_id = 0 WHERE organization_id = $1", "but its entries took 0"),
        ("UPDATE spend_marks SET entry_id = 1000000000000 WHERE organization_id = $1", "which it does not have"),
    ],
    ids=["amount", "missing", "day", "mark-behind", "mark-ahead"],
)
async def test_the_verification_finds_wrong_sums(database: Database, change: str, says: str) -> None:
    organization = await factories.make_organization(database)
    async with database.transaction() as tx:
        await add_charge(tx, Origin(organization_id=organization.id), _NOON, [Call("1", model="m")])
    await _sum_up(database, organization, 100)

    async with database.transaction() as tx:
        await tx.execute(change, organization.id)
    found = await _wrong_sums(database, organization)

    assert found
    assert any(says in fault for fault in found)
    async with database.transaction() as tx:
        # Other tests verify the same ledger.
        await tx.execute("DELETE FROM spend_days WHERE organization_id = $1", organization.id)
        await tx.execute("UPDATE spend_marks SET entry_id = 0 WHERE organization_id = $1", organization.id)
