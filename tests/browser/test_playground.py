"""The playground in a browser: an answer that arrives, a picture in its place, Stop, a tool, and no scripts at all."""

import json

from playwright.async_api import Page, expect

from app.core.database import Database
from tests.agents.definitions import price_chat_models
from tests.browser.world import World
from tests.chat.tools import WEATHER

_PATIENCE = 20_000


async def let_answer(world: World, model: str) -> None:
    """Let the orchestrator have this model."""
    await price_chat_models(world.database, model)
    async with world.database.transaction() as tx:
        await tx.execute(
            "UPDATE agents SET model = $2 WHERE organization_id = $1 AND is_orchestrator", world.organization.id, model
        )


async def charges_of(database: Database, organization_id: str) -> int:
    async with database.transaction() as tx:
        count: int = await tx.fetchval(
            "SELECT count(*) FROM ledger_entries WHERE organization_id = $1 AND kind = 'charge'", organization_id
        )
    return count


async def test_a_turn_streams_and_its_picture_appears_in_its_place(page: Page, world: World) -> None:
    await page.goto("/admin/playground")
    await page.get_by_label("Message").fill("make simulator/image")
    await page.keyboard.press("Enter")

    picture = page.get_by_role("log").get_by_role("img")
    await expect(picture).to_be_visible(timeout=_PATIENCE)
    await expect(page.get_by_role("log").get_by_role("link", name="Trace")).to_be_visible(timeout=_PATIENCE)
    assert await picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth > 100)")
    assert "?session=sess-" in page.url
    await expect(page.get_by_label("Message")).to_have_value("")
    await page.reload()
    await expect(page.get_by_role("log").get_by_role("img")).to_be_visible()

    await page.get_by_label("Message").fill("count to 3")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("log")).to_contain_text("1 2 3", timeout=_PATIENCE)
    await expect(page.locator("#code")).to_contain_text('"session_id"', timeout=_PATIENCE)
    assert await charges_of(world.database, world.organization.id) == 3


async def test_stop_keeps_what_was_said_and_charges_it(page: Page, world: World) -> None:
    await let_answer(world, "sim-chat--stall-3")
    await page.goto("/admin/playground")
    await page.get_by_label("Message").fill("count to 9")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("log")).to_contain_text("1 2 3", timeout=_PATIENCE)

    await page.get_by_role("button", name="Stop").click()

    await expect(page.get_by_role("link", name="Trace")).to_be_visible(timeout=_PATIENCE)
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    await expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    await expect(page.get_by_role("log")).to_contain_text("1 2 3")
    assert await charges_of(world.database, world.organization.id) == 1


async def test_a_tool_is_called_and_its_result_typed(page: Page) -> None:
    await page.goto("/admin/playground")
    await page.get_by_text("Client tool, as JSON").click()
    await page.get_by_label("Tool", exact=True).fill(json.dumps(WEATHER))
    await page.get_by_label("Message").fill("get_weather")
    await page.keyboard.press("Enter")

    await page.get_by_label("What get_weather returns").fill("sun over Oslo", timeout=_PATIENCE)
    await page.get_by_role("button", name="Send").click()

    await expect(page.get_by_role("log").locator(".bot").last).to_be_visible()
    await expect(page.get_by_role("log")).to_contain_text("> sun over Oslo", timeout=_PATIENCE)
    await expect(page.get_by_label("What get_weather returns")).to_have_count(0)


async def test_what_is_refused_stays_in_its_field(page: Page) -> None:
    await page.goto("/admin/playground")
    await page.get_by_label("Temperature").fill("9")
    await page.get_by_label("Message").fill("count to 3")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("alert")).to_contain_text("from 0 to 2")
    await expect(page.get_by_label("Message")).to_have_value("count to 3")


async def test_without_scripts_the_answer_is_on_the_next_page(plain_page: Page) -> None:
    await plain_page.goto("/admin/playground")
    await plain_page.get_by_label("Message").fill("make simulator/image")
    await plain_page.get_by_role("button", name="Send").click()

    await expect(plain_page.get_by_role("log").get_by_role("img")).to_be_visible(timeout=_PATIENCE)
    await expect(plain_page.get_by_role("button", name="Stop")).to_be_hidden()
    await plain_page.get_by_role("link", name="Trace").click()
    await expect(plain_page.get_by_role("heading", name="This turn took")).to_be_visible()


async def test_the_request_and_its_code_follow_the_choice_of_the_api(page: Page) -> None:
    await page.goto("/admin/playground")
    await page.get_by_label("Over the API").select_option("Responses")

    await expect(page.locator("#code")).to_contain_text("/v1/responses", timeout=_PATIENCE)
    await page.get_by_label("Message").fill("count to 3")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("log")).to_contain_text("1 2 3", timeout=_PATIENCE)
    await expect(page.locator("#code")).to_contain_text('"conversation"', timeout=_PATIENCE)
    await page.get_by_label("Over the API").select_option("Chat Completions")
    await expect(page.locator("#code")).to_contain_text("/v1/chat/completions", timeout=_PATIENCE)
    await page.get_by_label("Message").fill("count to 4")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("log")).to_contain_text("1 2 3 4", timeout=_PATIENCE)
    await expect(page.locator("#code")).to_contain_text('"session_id"', timeout=_PATIENCE)
