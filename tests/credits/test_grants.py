"""Monthly credits are granted once to every organization that is due, even if many workers do it at the same time."""

import asyncio
import secrets
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal

import pytest

from app.audit.actor import COMMAND_LINE
from app.catalog.pricing import SIX_DECIMALS
from app.core.database import Database
from app.credits import service as credits
from app.credits.grants import grant_monthly_credits
from app.organizations import service as organizations
from tests import factories, programs
from tests.clocks import Clocks
from tests.conftest import Stack
from tests.factories import Organization
from tests.faults.books import faults_of
from tests.waiting import until

NOVEMBER, DECEMBER = datetime(2031, 11, 30, 23, 59, 59, tzinfo=UTC), datetime(2031, 12, 1, tzinfo=UTC)
MONTHLY = Decimal("2.500001")


@pytest.fixture
async def plan(database: Database) -> str:
    """A plan with monthly credits that only this test uses."""
    name = f"monthly-{secrets.token_hex(4)}"
    async with database.transaction() as tx:
        await organizations.set_plan(
            tx,
            name=name,
            requests_per_minute=60,
            concurrent_requests=5,
            concurrent_generations=5,
            monthly_credits=MONTHLY,
            actor=COMMAND_LINE,
        )
    return name


@pytest.fixture
async def subscriber(database: Database, plan: str) -> Organization:
    return await factories.make_organization(database, plan=plan)


async def granted(database: Database, organization: Organization, year: int = 2031) -> list[tuple[str, Decimal]]:
    """The organization's monthly grants of that year, by month."""
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT reference, amount FROM ledger_entries WHERE organization_id = $1 AND reference LIKE $2 ORDER BY id",
            organization.id,
            f"monthly:%:{year}-%",
        )
    return [(row["reference"].rpartition(":")[2], row["amount"]) for row in rows]


async def test_each_month_is_granted_once_even_if_ten_workers_grant_it(
    database: Database, clocks: Clocks, subscriber: Organization
) -> None:
    for month in (NOVEMBER, DECEMBER):
        async with clocks.at(month) as then:
            await asyncio.gather(*(grant_monthly_credits(then) for _ in range(10)))
            await grant_monthly_credits(then)

    assert await granted(database, subscriber) == [("2031-11", MONTHLY), ("2031-12", MONTHLY)]
    assert await faults_of(database, subscriber) == []


async def test_a_month_that_ended_before_the_organization_existed_is_not_granted(
    database: Database, clocks: Clocks, subscriber: Organization
) -> None:
    async with database.transaction() as tx:
        await tx.execute("UPDATE organizations SET created_at = $2 WHERE id = $1", subscriber.id, DECEMBER)

    async with clocks.at(NOVEMBER) as behind:
        await grant_monthly_credits(behind)
    nothing_yet = await granted(database, subscriber)
    async with clocks.at(DECEMBER) as then:
        await grant_monthly_credits(then)

    assert nothing_yet == []
    assert await granted(database, subscriber) == [("2031-12", MONTHLY)]


async def test_a_clock_that_is_behind_grants_nothing_for_the_month_before(
    database: Database, clocks: Clocks, subscriber: Organization
) -> None:
    for clock in (DECEMBER, NOVEMBER):
        async with clocks.at(clock) as then:
            await grant_monthly_credits(then)

    assert await granted(database, subscriber) == [("2031-12", MONTHLY)]


async def test_a_plan_without_credits_and_an_ended_subscription_get_none(
    database: Database, clocks: Clocks, plan: str
) -> None:
    without = await factories.make_organization(database)
    ended = await factories.make_organization(database, plan=plan)
    async with database.transaction() as tx:
        await tx.execute("UPDATE organizations SET subscription_status = 'inactive' WHERE id = $1", ended.id)

    async with clocks.at(NOVEMBER) as then:
        await grant_monthly_credits(then)

    assert [await granted(database, organization) for organization in (without, ended)] == [[], []]


async def test_if_one_grant_fails_the_others_are_still_made(
    database: Database, clocks: Clocks, plan: str, caplog: pytest.LogCaptureFixture
) -> None:
    others = [await factories.make_organization(database, plan=plan) for _ in range(3)]
    await make_rich(database, others[1])

    async with clocks.at(NOVEMBER) as then:
        await grant_monthly_credits(then)

    assert [len(await granted(database, organization)) for organization in others] == [1, 0, 1]
    assert await faults_of(database, others[1]) == []
    # Nothing is wrong with the server: no traceback.
    (refused,) = [record for record in caplog.records if record.__dict__.get("organization_id") == others[1].id]
    assert (refused.message, refused.levelname, refused.exc_info) == ("monthly_credits_refused", "WARNING", None)


async def make_rich(database: Database, organization: Organization) -> None:
    """Grant so much that any further grant exceeds the digits of the balance."""
    most = Decimal("999999999999.999999")
    missing = most - (await factories.balance_of(database, organization)).balance
    tenth = (missing / 10).quantize(SIX_DECIMALS, ROUND_DOWN)
    async with database.transaction() as tx:
        for number in range(10):
            reference = f"riches-{number}:{organization.id}"
            await credits.grant(
                tx, organization_id=organization.id, amount=tenth, reference=reference, actor=COMMAND_LINE
            )


async def test_the_worker_grants_monthly_credits(stack: Stack, database: Database, subscriber: Organization) -> None:
    year = datetime.now(UTC).year

    async def is_given() -> bool:
        return bool(await granted(database, subscriber, year))

    # A worker checks for due grants as soon as it starts.
    with programs.running_worker(stack.environment, stack.folder / "granting-worker.log"):
        await until(is_given)
    assert [amount for _, amount in await granted(database, subscriber, year)] == [MONTHLY]
