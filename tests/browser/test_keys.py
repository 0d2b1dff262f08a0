"""A key is created by a click, copied, used with OpenAI's client, and listed; with scripts and without."""

import asyncio
import json
import re
import shlex

import openai
import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.chromium import overflows, violations
from tests.browser.looking import keep
from tests.browser.world import World

SECRET = re.compile(r"jns_live_[A-Za-z0-9]{32}")


async def chat(world: World, secret: str) -> str | None:
    """What OpenAI's own client is answered with the key."""
    async with openai.AsyncOpenAI(base_url=f"{world.stack.base_url}/v1", api_key=secret) as client:
        answer = await client.chat.completions.create(
            model="junis-orchestrator", messages=[{"role": "user", "content": "hello"}]
        )
    return answer.choices[0].message.content


async def fill_in(page: Page, name: str) -> None:
    await page.goto("/admin/keys")
    await page.get_by_role("link", name="Create API Key").click()
    await page.get_by_label("Name", exact=True).fill(name)
    await page.get_by_role("button", name="Create API Key").click()


async def test_a_key_is_created_copied_used_and_listed(page: Page, context: BrowserContext, world: World) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await fill_in(page, "shop")

    await page.get_by_role("button", name="Copy key").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == await page.locator("#key").inner_text()
    assert SECRET.fullmatch(copied)
    assert SECRET.search(page.url) is None

    assert await chat(world, copied)
    await page.get_by_role("link", name="I have stored the key").click()
    await expect(page.get_by_role("row").filter(has_text="shop").get_by_text(copied[:13])).to_be_visible()
    await page.go_back()
    await expect(page.get_by_text("This key cannot be shown again")).to_be_visible()
    assert SECRET.search(await page.content()) is None


async def test_everything_works_without_scripts(plain_page: Page, world: World) -> None:
    await fill_in(plain_page, "plain")

    secret = await plain_page.locator("#key").inner_text()
    assert await chat(world, secret)
    await expect(plain_page.get_by_role("button", name="Copy key")).to_be_hidden()

    await plain_page.get_by_role("link", name="I have stored the key").click()
    await plain_page.get_by_role("link", name="plain", exact=True).click()
    await plain_page.get_by_label("requests a minute").fill("7")
    await plain_page.get_by_role("button", name="Save limits").click()
    await expect(plain_page.get_by_label("requests a minute")).to_have_value("7")
    await plain_page.get_by_role("link", name="Revoke…").click()
    await plain_page.get_by_label("Type plain to go on").fill("plain")
    await plain_page.get_by_role("button", name="Revoke plain").click()
    await expect(plain_page.get_by_text("plain is revoked")).to_be_visible()
    with pytest.raises(openai.AuthenticationError):
        await chat(world, secret)


async def test_the_curl_line_runs_as_shown(page: Page) -> None:
    await fill_in(page, "curl")

    line = await page.locator("#try-t1").inner_text()

    words = shlex.split(line.replace("\\\n", " "))
    assert words[0] == "curl"
    ran = await asyncio.create_subprocess_exec(*words, "--silent", stdout=asyncio.subprocess.PIPE)
    printed, _ = await ran.communicate()
    assert json.loads(printed)["choices"][0]["message"]["content"]


async def test_the_page_that_shows_a_key_can_be_read_by_everybody(page: Page) -> None:
    await fill_in(page, "k" * 64)

    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert await violations(page) == []
        await keep(page, f"key-created-{scheme}")
    await page.set_viewport_size({"width": 360, "height": 800})
    assert not await overflows(page)
    assert await violations(page) == []
    await keep(page, "key-created-390")


async def test_the_last_day_is_asked_for_if_one_is_chosen(page: Page) -> None:
    await page.goto("/admin/keys/new")
    await expect(page.get_by_label("Last day")).to_be_hidden()

    await page.get_by_label("Expires").select_option("day")

    await expect(page.get_by_label("Last day")).to_be_visible()
    await page.get_by_label("Name", exact=True).fill("dated")
    await page.get_by_role("button", name="Create API Key").click()
    await expect(page.get_by_text("Enter a day")).to_be_visible()
    assert await violations(page) == []
    await expect(page.get_by_label("Name", exact=True)).to_have_value("dated")
