"""Every page and state: axe-core finds nothing, and nothing is wider than a phone.

The kit has every part in every state; it is looked at in the dark, too. With `SCREENSHOTS=folder` every page is, and
on a phone, and pictures are kept: `make screenshots`.
"""

import os
import pkgutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from tests.browser import cases
from tests.browser.chromium import Complaints, overflows, violations
from tests.browser.signing_in import cookies_of
from tests.browser.world import Case, World

MODULES = sorted(module.name for module in pkgutil.iter_modules(cases.__path__))
SCREENSHOTS = os.environ.get("SCREENSHOTS")
_OF_ALL_PARTS = "kit"
_WIDE, _PHONE, _SMALLEST = 1440, 390, 360


@pytest.mark.parametrize("module", MODULES)
async def test_pages_can_be_read_by_everybody(module: str, world: World, browser: Browser) -> None:
    faults = []
    async with AsyncExitStack() as stack:
        visitors: dict[str, Visitor] = {}
        for case in await import_module(f"{cases.__name__}.{module}").pages(world):
            if case.as_role not in visitors:
                visitors[case.as_role] = await stack.enter_async_context(visiting(browser, world, case.as_role))
            faults += [f"{case.name}: {fault}" for fault in await visitors[case.as_role].look_at(case)]

    assert faults == []


@dataclass(frozen=True)
class Visitor:
    """Somebody of a role, who opens one page after the other."""

    context: BrowserContext
    complaints: Complaints

    async def look_at(self, case: Case) -> list[str]:
        """What is wrong with a page."""
        self.complaints.found.clear()
        page = await self.context.new_page()
        await page.goto(f"/admin{case.path}", wait_until="load")
        try:
            return [*await faults_of(page, case), *self.complaints.found]
        finally:
            await page.close()


async def faults_of(page: Page, case: Case) -> list[str]:
    # The themes differ in their colours alone.
    faults = [f"light: {each}" for each in await violations(page)]
    await keep(page, f"{case.name}-light")
    if SCREENSHOTS or case.name == _OF_ALL_PARTS:
        await page.emulate_media(color_scheme="dark")
        faults += [f"dark: {each}" for each in await violations(page, only_colours=True)]
        await keep(page, f"{case.name}-dark")
        await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": _SMALLEST, "height": 800})
    if await overflows(page):
        faults.append(f"wider than {_SMALLEST} px")
    if SCREENSHOTS:
        faults += [f"{_SMALLEST} px: {each}" for each in await violations(page)]
        await page.set_viewport_size({"width": _PHONE, "height": 844})
        await keep(page, f"{case.name}-{_PHONE}")
    return faults


async def keep(page: Page, name: str) -> None:
    if SCREENSHOTS:
        await page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)


@asynccontextmanager
async def visiting(browser: Browser, world: World, role: str) -> AsyncIterator[Visitor]:
    context = await browser.new_context(
        base_url=world.stack.url,
        viewport={"width": _WIDE, "height": 900},
        color_scheme="light",
        reduced_motion="reduce",
    )
    complaints = Complaints(context)
    await context.add_cookies(await cookies_of(world, role))
    yield Visitor(context, complaints)
    await context.close()
