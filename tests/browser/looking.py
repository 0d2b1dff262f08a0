"""Looks at the pages of an area: axe-core finds nothing, and nothing is wider than a phone.

The kit has every part in every state; it is looked at in the dark, too. With `SCREENSHOTS=folder` every page is, and
on a phone, and pictures are kept: `make screenshots`.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page

from tests.browser.chromium import Complaints, overflows, violations
from tests.browser.signing_in import cookies_of
from tests.browser.world import Case, World

SCREENSHOTS = os.environ.get("SCREENSHOTS")
_OF_ALL_PARTS = "kit"
_WIDE, _PHONE, _SMALLEST = 1440, 390, 360


async def faults_of_area(area: str, world: World, browser: Browser) -> list[str]:
    """What is wrong with the pages that the module of that name in `tests.browser.cases` lists."""
    faults = []
    async with AsyncExitStack() as stack:
        visitors: dict[str, Visitor] = {}
        for case in await import_module(f"tests.browser.cases.{area}").pages(world):
            if case.as_role not in visitors:
                visitors[case.as_role] = await stack.enter_async_context(visiting(browser, world, case.as_role))
            faults += [f"{case.name}: {fault}" for fault in await visitors[case.as_role].look_at(case)]
    return faults


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
