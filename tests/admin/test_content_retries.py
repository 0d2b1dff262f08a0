"""Retries in the console: they count, cost and are refused like those of the API, and say so in words."""

from decimal import Decimal

import pytest

from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.generations.models import Generation
from app.organizations import service as organizations
from tests import factories
from tests.admin.conftest import Browser, BrowserOf
from tests.admin.contents import add_content, open_maker
from tests.conftest import Stack
from tests.factories import Organization

CEILING = Decimal("0.012")  # of simulator/image, in the tests' catalog


async def retry(browser: Browser, content: Generation, attempt: int | None = None) -> tuple[int, str]:
    """Press the button of a content's page; returns the status and the page that follows."""
    attempt = content.retry_count if attempt is None else attempt
    response = await browser.submit(f"/content/{content.id}/retry", attempt=str(attempt or 0))
    if response.status_code != 303:
        return response.status_code, response.text
    assert response.headers["location"] == f"/admin/content/{content.id}"
    return 303, (await browser.get(f"/content/{content.id}")).text


async def attempts_of(database: Database, content: Generation) -> list[tuple[int, str | None, str | None]]:
    """Number, user and key of each attempt."""
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT number, user_id, api_key_id FROM attempts WHERE generation_id = $1 ORDER BY number", content.id
        )
    return [(row["number"], row["user_id"], row["api_key_id"]) for row in rows]


async def test_a_retry_holds_what_it_may_cost_and_is_charged_when_it_completes(
    owner_browser: Browser, stack: Stack, database: Database, organization: Organization
) -> None:
    async with open_maker(stack, organization) as maker:
        failed = await maker.bench.row(await maker.make("simulator/image--fail-1", "Tried twice"))
        before = (await factories.balance_of(database, organization)).balance
        page = await owner_browser.get(f"/content/{failed.id}")

        status, followed = await retry(owner_browser, failed)
        ended = await maker.bench.until_ended(str(failed.id))

    assert "3 retries of 3 are left" in page.text
    assert (status, "It is queued again" in followed) == (303, True)
    assert ended.status == "completed"
    assert await attempts_of(database, failed) == [
        (0, organization.user_id, None),
        (1, organization.user_id, None),
    ]
    balance = await factories.balance_of(database, organization)
    assert balance.held == 0
    assert before - balance.balance == ended.credit_cost
    after = await owner_browser.get(f"/content/{failed.id}")
    assert "in the console" in after.text
    assert 'name="attempt"' not in after.text


async def test_a_form_that_is_sent_twice_retries_once(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    content = await add_content(database, organization, "failed", retry_count=1)

    assert (await retry(owner_browser, content))[0] == 303
    assert (await retry(owner_browser, content))[0] == 303

    assert [number for number, *_ in await attempts_of(database, content) if number > 1] == [2]


async def test_it_says_that_credits_are_missing(browser_of: BrowserOf, database: Database) -> None:
    poor = await factories.make_organization(database, credit="0.011999")
    content = await add_content(database, poor, "failed")
    browser = await browser_of("owner", poor)

    status, page = await retry(browser, content)

    assert status == 402
    assert "There are not enough credits for what a retry holds" in page
    assert "0.012<i>000</i>" in page
    assert await attempts_of(database, content) == [(0, poor.user_id, None)]


async def test_it_says_that_the_retries_are_used_up(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    content = await add_content(database, organization, "failed", retry_count=3)

    status, page = await retry(owner_browser, content)

    assert status == 400
    assert "Maximum retry attempts (3) reached for this content." in page
    assert "It was retried 3 times, as often as it may be" in page


@pytest.mark.parametrize("state", ["pending", "processing", "completed"])
async def test_only_what_has_failed_is_retried(
    owner_browser: Browser, database: Database, organization: Organization, state: str
) -> None:
    content = await add_content(database, organization, state)

    status, page = await retry(owner_browser, content, attempt=0)

    assert status == 400
    assert f"Cannot retry content with status &#39;{state}&#39;" in page


async def test_a_retry_counts_in_the_plans_window(browser_of: BrowserOf, database: Database) -> None:
    async with database.transaction() as tx:
        await organizations.set_plan(
            tx,
            name="tiny",
            requests_per_minute=1,
            concurrent_requests=5,
            concurrent_generations=5,
            monthly_credits=Decimal(0),
            actor=COMMAND_LINE,
        )
    small = await factories.make_organization(database, plan="tiny")
    browser = await browser_of("owner", small)
    first, second = [await add_content(database, small, "failed") for _ in range(2)]

    for _ in range(3):
        assert (await browser.get(f"/content/{first.id}")).status_code == 200
    assert (await retry(browser, first))[0] == 303
    status, page = await retry(browser, second)

    assert status == 429
    assert "Your plan&#39;s requests of this minute are used up. Retry in " in page


async def test_an_organization_without_subscription_retries_nothing(browser_of: BrowserOf, database: Database) -> None:
    lapsed = await factories.make_organization(database)
    content = await add_content(database, lapsed, "failed")
    browser = await browser_of("owner", lapsed)
    async with database.transaction() as tx:
        await tx.execute("UPDATE organizations SET subscription_status = 'inactive' WHERE id = $1", lapsed.id)

    status, page = await retry(browser, content)

    assert status == 403
    assert "no active subscription" in page


async def test_viewers_and_other_members_retry_nothing(
    browser_of: BrowserOf, database: Database, organization: Organization
) -> None:
    content = await add_content(database, organization, "failed")
    viewer, member = await browser_of("viewer"), await browser_of("member")
    theirs = await add_content(database, organization, "failed", user_id=member.user_id)
    stranger = await browser_of("owner", await factories.make_organization(database))

    seen = await viewer.get(f"/content/{content.id}")
    assert ("Viewers cannot retry" in seen.text, 'name="attempt"' in seen.text) == (True, False)
    assert (await retry(viewer, content))[0] == 403
    assert (await retry(member, content))[0] == 404
    assert (await retry(stranger, content))[0] == 404
    assert await attempts_of(database, content) == [(0, organization.user_id, None)]
    assert (await retry(member, theirs))[0] == 303
