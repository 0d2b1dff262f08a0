"""Every page and state: axe-core finds nothing, light or dark, and nothing is wider than a phone.

`SCREENSHOTS=folder` keeps a picture of each, light, dark and narrow.
"""

import os
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.browser import cases
from tests.browser.chromium import Complaints, overflows, violations
from tests.browser.signing_in import cookies_of
from tests.browser.world import Case, World

MODULES = sorted(module.name for module in pkgutil.iter_modules(cases.__path__))
SCREENSHOTS = os.environ.get("SCREENSHOTS")
_WIDE, _PHONE, _SMALLEST = 1440, 390, 360


@pytest.mark.parametrize("module", MODULES)
async def test_pages_can_be_read_by_everybody(module: str, world: World, browser: Browser) -> None:
    faults = []
    for case in await import_module(f"{cases.__name__}.{module}").pages(world):
        async with opened(browser, world, case) as (page, complaints):
            faults += [f"{case.name}: {fault}" for fault in [*await faults_of(page, case), *complaints.found]]

    assert faults == []


async def faults_of(page: Page, case: Case) -> list[str]:
    faults = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        faults += [f"{scheme}: {each}" for each in await violations(page)]
        await keep(page, f"{case.name}-{scheme}")
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": _PHONE, "height": 844})
    await keep(page, f"{case.name}-{_PHONE}")
    await page.set_viewport_size({"width": _SMALLEST, "height": 800})
    if await overflows(page):
        faults.append(f"wider than {_SMALLEST} px")
    faults += [f"{_SMALLEST} px: {each}" for each in await violations(page)]
    return faults


async def keep(page: Page, name: str) -> None:
    if SCREENSHOTS:
        await page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)


@asynccontextmanager
async def opened(browser: Browser, world: World, case: Case) -> AsyncIterator[tuple[Page, Complaints]]:
    context = await browser.new_context(
        base_url=world.stack.url, viewport={"width": _WIDE, "height": 900}, reduced_motion="reduce"
    )
    complaints = Complaints(context)
    await context.add_cookies(await cookies_of(world, case.as_role))
    page = await context.new_page()
    await page.goto(f"/admin{case.path}", wait_until="load")
    yield page, complaints
    await context.close()
