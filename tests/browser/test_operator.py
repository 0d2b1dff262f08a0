"""Operators in a browser, with scripts and without."""

import re
import secrets

from playwright.async_api import Page, expect

from tests.browser.world import World
from tests.factories import balance_of


async def test_credits_are_granted_by_a_click(page: Page, world: World) -> None:
    await page.goto(f"/admin/organizations/{world.organization.id}")
    await page.get_by_label("Amount").fill("12.5")
    await expect(page.locator("#amount-h")).to_have_text("Available goes from 100.000000 to 112.500000.")
    await page.get_by_label("Reason").fill("Prepaid")

    # The second click finds the form sent already.
    await page.get_by_role("button", name="Change credits").dblclick()

    await expect(page.get_by_role("status")).to_contain_text("Granted 12.500000 credits.")
    await expect(page.get_by_role("cell", name="Prepaid")).to_have_count(1)
    assert (await balance_of(world.database, world.organization)).balance == 112.5
    await page.get_by_role("link", name="Audit log").first.click()
    await page.get_by_role("link", name=re.compile("Organization")).first.wait_for()


async def test_a_plan_and_a_price_are_made_without_scripts(plain_page: Page, world: World) -> None:
    name = f"plan-{secrets.token_hex(4)}"
    await plain_page.goto("/admin/plans")
    await plain_page.get_by_role("link", name="Add plan").click()
    await plain_page.get_by_label("Name").fill(name)
    for label in ("requests a minute", "requests at the same time", "generations in flight"):
        await plain_page.get_by_label(label).fill("10")
    await plain_page.get_by_role("button", name="Add plan").click()
    await expect(plain_page.get_by_role("heading", name=f"Edit {name}")).to_be_visible()

    await plain_page.goto("/admin/catalog/simulator/image")
    await plain_page.get_by_label("For each file").fill("0.5")
    await plain_page.get_by_role("button", name="What would it make?").click()
    await expect(plain_page.get_by_text("Nothing is added yet")).to_be_visible()
    await expect(plain_page.get_by_label("For each file")).to_have_value("0.5")
