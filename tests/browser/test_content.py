"""Content in a real browser: what plays, what goes on by itself, what works without scripts, and 3D models."""

import re
import shutil
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from devstack import product
from devstack.ports import free_port
from devstack.product import ROOT
from tests import programs
from tests.admin.contents import Maker, open_maker
from tests.browser.chromium import Complaints
from tests.browser.signing_in import cookies_of
from tests.browser.world import World
from tests.conftest import Stack
from tests.contract.environments import node_environment
from tests.waiting import PATIENCE, until

_SOON = PATIENCE * 1000


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Nothing is looked for only for the seconds that Playwright would."""
    expect.set_options(timeout=_SOON)


@pytest.fixture
async def maker(world: World) -> AsyncIterator[Maker]:
    async with open_maker(world.stack, world.organization) as opened:
        yield opened


async def test_a_failed_content_is_retried_and_watched_until_its_picture_appears(
    context: BrowserContext, page: Page, maker: Maker
) -> None:
    failed = await maker.make("simulator/image--fail-1--slow-2", "A lighthouse that is tried twice")
    await page.goto(f"/admin/content/{failed}")
    gallery = await context.new_page()

    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_text("It is queued again")).to_be_visible()
    await page.evaluate("window.isTheSamePage = true")
    await gallery.goto("/admin/content")
    await gallery.evaluate("window.isTheSamePage = true")
    await expect(gallery.locator(".gal .st.busy, .gal .st.wait").first).to_be_visible()

    await expect(page.get_by_role("img", name="A lighthouse that is tried twice")).to_be_visible(timeout=_SOON)
    await expect(page.locator("h1")).to_contain_text("Completed")
    await expect(page.get_by_text("Attempt 2 completed in")).to_be_visible()
    await gallery.bring_to_front()
    await expect(gallery.locator(".gal img")).to_be_visible(timeout=_SOON)
    assert await page.evaluate("window.isTheSamePage")
    assert await gallery.evaluate("window.isTheSamePage")


@pytest.mark.parametrize("kind", ["video", "audio"])
async def test_videos_and_sounds_play_in_the_page(page: Page, maker: Maker, kind: str) -> None:
    made = await maker.make(f"simulator/{kind}", f"Something of the kind {kind}")
    await page.goto(f"/admin/content/{made}")
    player = page.locator(f"figure {kind}")

    await player.evaluate("(player) => { player.muted = true; return player.play(); }")

    await expect(player).to_have_js_property("error", None)

    async def has_played() -> bool:
        return float(await player.evaluate("(player) => player.currentTime")) > 0

    assert await until(has_played)
    assert await player.evaluate("(player) => player.readyState") >= 2


async def test_without_scripts_everything_is_found_filtered_and_retried(plain_page: Page, maker: Maker) -> None:
    picture = await maker.make("simulator/image", "A mug on an oak table")
    failed = await maker.make("simulator/image--fail-1--slow-30", "A mug that is tried twice")
    await plain_page.goto("/admin/content")

    await expect(plain_page.get_by_role("img", name="A mug on an oak table")).to_be_visible()
    await plain_page.get_by_label("Status").select_option("failed")
    await plain_page.get_by_role("button", name="Apply").click()
    await expect(plain_page.locator(f'[href$="{picture}"]')).to_have_count(0)
    await plain_page.locator(f'[href$="{failed}"]').click()
    await plain_page.get_by_role("button", name="Retry").click()

    await expect(plain_page.locator("h1")).to_contain_text(re.compile("Pending|Processing"))
    await expect(plain_page.get_by_role("link", name="Look again")).to_be_visible()
    await expect(plain_page.locator('meta[http-equiv="refresh"]')).to_have_count(1)


@pytest.fixture(scope="module", params=["with the viewer", "without it"])
def console(request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API whose console has the viewer of 3D models, or has not, whatever this checkout has."""
    folder = tmp_path_factory.mktemp("console")
    for part in ("app", "migrations"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "vendor"))
    if request.param == "with the viewer":
        modules = node_environment(ROOT / "frontend").modules
        (folder / "app/admin/static/vendor").mkdir()
        shutil.copy(modules / "@google/model-viewer/dist/model-viewer.min.js", folder / "app/admin/static/vendor")
    origin = f"http://127.0.0.1:{free_port()}"
    settings = product.isolated({**programs.as_server(stack.environment), "PUBLIC_URL": origin})
    # The folder comes before this checkout.
    with product.api(settings, folder / "api.log", origin=origin, folder=folder).serving():
        yield origin


async def test_a_3d_model_is_shown_in_3d_or_offered_as_a_file(
    console: str, browser: Browser, world: World, maker: Maker
) -> None:
    made = await maker.make("simulator/glb", "A low-poly vase")
    context = await browser.new_context(base_url=console)
    complaints = Complaints(context)
    cookies: list[Any] = [{**cookie, "url": console} for cookie in await cookies_of(world, "owner")]
    await context.add_cookies(cookies)
    page = await context.new_page()

    await page.goto(f"/admin/content/{made}")

    frame = page.get_by_role("group", name="3D view")
    viewer, download = frame.locator("model-viewer"), frame.get_by_role("link", name=re.compile(r"^Download .*\.glb"))
    if await viewer.count():
        await expect(viewer).to_have_js_property("loaded", True, timeout=_SOON)
        await expect(page.get_by_role("button", name="Reset view")).to_be_visible()
        await page.get_by_role("button", name="Turn by itself").click()
        await expect(page.get_by_role("button", name="Turn by itself")).to_have_attribute("aria-pressed", "true")
    else:
        await expect(download).to_be_visible()
    assert complaints.found == []
    await context.close()
