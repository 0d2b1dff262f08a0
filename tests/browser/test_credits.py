"""Usage and ledger in a browser: keys walk the chart, exports are downloaded, everything works without scripts."""

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser.world import World
from tests.credits.spending import Call, Origin, add_charge


async def _spend(world: World, *amounts: str) -> None:
    """Spend these amounts, one each day up to today."""
    origin = Origin(organization_id=world.organization.id, user_id=world.organization.user_id)
    async with world.database.transaction() as tx:
        for ago, amount in enumerate(reversed(amounts)):
            await add_charge(tx, origin, datetime.now(UTC) - timedelta(days=ago), [Call(amount)])


def _label(ago: int) -> str:
    day = datetime.now(UTC) - timedelta(days=ago)
    return f"{day.day} {day:%b}"


async def test_the_arrow_keys_walk_the_days_and_enter_opens_one(page: Page, world: World) -> None:
    await _spend(world, "0.25", "0.5", "0.125")
    await page.goto("/admin/usage?period=7")
    chart = page.get_by_role("group", name="Credits a day")
    readout = page.locator("[data-readout]")

    await chart.locator('[tabindex="0"]').focus()
    await expect(readout).to_contain_text(f"{_label(0)}: 0.125000 credits")
    await page.keyboard.press("ArrowLeft")
    await expect(readout).to_contain_text(f"{_label(1)}: 0.500000 credits")
    await page.keyboard.press("Home")
    await expect(readout).to_contain_text(f"{_label(6)}: 0 credits")
    await page.keyboard.press("End")
    await page.keyboard.press("ArrowLeft")
    assert await chart.locator('[tabindex="0"]').count() == 1
    await page.keyboard.press("Enter")

    await expect(page).to_have_url(f"{world.stack.url}/admin/ledger?kind=charge" + _days(1))
    await expect(page.locator("tbody .hit")).to_have_count(1)


async def test_the_range_applies_when_it_is_chosen_and_names_are_compared(page: Page, world: World) -> None:
    await _spend(world, "0.25")
    async with world.database.transaction() as tx:
        await add_charge(tx, Origin(organization_id=world.organization.id), datetime.now(UTC), [Call("1", model="m")])
    await page.goto("/admin/usage")

    await page.get_by_label("Range").select_option("90")
    await expect(page.get_by_text("Spent in 90 days")).to_be_visible()
    await page.get_by_label("Compare sim-metered").check()
    await page.get_by_role("button", name="Compare").click()

    await expect(page.get_by_role("rowheader", name="What is compared")).to_be_visible()
    await expect(page.get_by_label("Compare sim-metered")).to_be_checked()
    await expect(page.get_by_label("Compare m", exact=True)).to_have_count(0)


async def test_an_export_is_downloaded(page: Page, world: World, tmp_path: Path) -> None:
    await _spend(world, "0.000002")
    await page.goto("/admin/ledger?kind=charge")

    async with page.expect_download() as download:
        await page.get_by_role("link", name="CSV").click()
    file = tmp_path / "ledger.csv"
    await (await download.value).save_as(file)

    with file.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    assert [Decimal(row["amount"]) for row in rows] == [Decimal("-0.000002")]


async def test_without_scripts_ranges_alerts_and_entries_work(plain_page: Page, world: World) -> None:
    await _spend(world, "0.25")
    await plain_page.goto("/admin/usage")

    await plain_page.get_by_label("Range").select_option("7")
    await plain_page.get_by_role("button", name="Show").click()
    await expect(plain_page.get_by_text("Spent in 7 days")).to_be_visible()
    await plain_page.get_by_label("Amount in credits").fill("0")
    await plain_page.get_by_role("button", name="Add alert").click()
    await expect(plain_page.get_by_label("Amount in credits")).to_have_value("0")
    await plain_page.get_by_label("Amount in credits").fill("5000")
    await plain_page.get_by_role("button", name="Add alert").click()
    await expect(plain_page.get_by_text("below now")).to_be_visible()
    await plain_page.get_by_role("link", name="Remove… the alert").click()
    await plain_page.get_by_label("Type 5,000 to go on").fill("5000")
    await plain_page.get_by_role("button", name="Remove alert").click()
    await expect(plain_page.get_by_text("below now")).to_have_count(0)
    await plain_page.get_by_text("Each day in figures").click()
    await plain_page.get_by_role("link", name=_label(0)).last.click()
    await plain_page.locator("tbody .hit").first.click()
    await expect(plain_page.get_by_role("heading", name="How it was computed")).to_be_visible()


def _days(ago: int) -> str:
    day = (datetime.now(UTC) - timedelta(days=ago)).date()
    return f"&first={day}&last={day}"
