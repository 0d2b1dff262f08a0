"""Headless Chromium of the system, driven by Playwright: the shell, which takes less than a whole browser does."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

PROGRAM = "/usr/bin/chromium-headless-shell"
# It must not call home, which a closed network answers with many errors.
_FLAGS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb",
]  # fmt: skip
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser for the time of the block."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=_FLAGS, headless=True)
        try:
            yield browser
        finally:
            await browser.close()


class Complaints:
    """What pages of a context have complained about: errors of scripts, refusals of the policy, failed loads."""

    def __init__(self, context: BrowserContext) -> None:
        self.found: list[str] = []
        context.on("page", self._watch)

    def _watch(self, page: Page) -> None:
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.found.append(f"{page.url}: {error}"))

    def _note(self, message: ConsoleMessage) -> None:
        # A page that is answered with 4xx is what some tests ask for.
        if message.type == "error" and "the server responded with a status of 4" not in message.text:
            self.found.append(f"{message.page.url if message.page else ''}: {message.text}")


async def violations(page: Page, *, only_colours: bool = False) -> list[str]:
    """What axe-core finds wrong with the page, each with where; if wanted, only with its colours."""
    if not await page.evaluate("typeof axe === 'object'"):
        await page.evaluate(AXE)
    rules = "runOnly: ['color-contrast', 'link-in-text-block']," if only_colours else ""
    result: dict[str, Any] = await page.evaluate(f"axe.run(document, {{{rules} resultTypes: ['violations']}})")
    return [
        f"{each['id']}: {each['help']}: {json.dumps([node['target'] for node in each['nodes'][:3]])}"
        for each in result["violations"]
    ]


async def overflows(page: Page) -> bool:
    """Whether the page is wider than the window."""
    wider: bool = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return wider
