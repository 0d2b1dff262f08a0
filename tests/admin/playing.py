"""The playground over HTTP, as its form and its script use it."""

import json
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.admin.conftest import Browser


def fields(words: str = "", **given: Any) -> dict[str, Any]:
    """The fields of the form."""
    return {
        "say": words,
        "session": f"sess-{secrets.token_hex(6)}",
        "once": secrets.token_hex(8),
        "agent": "",
        **given,
    }


@asynccontextmanager
async def opened_turn(browser: Browser, form: dict[str, Any]) -> AsyncIterator[httpx.Response]:
    """A streamed turn of which nothing has been read yet. At the end of the block the reader hangs up."""
    headers = {"X-CSRF-Token": browser.csrf}
    async with browser.stream("POST", "/playground/turns", data=form, headers=headers) as response:
        yield response


async def events_of(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream as they arrive."""
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def stream_turn(browser: Browser, form: dict[str, Any]) -> list[dict[str, Any]]:
    """All events of a turn."""
    async with opened_turn(browser, form) as response:
        assert response.status_code == 200, await response.aread()
        return [event async for event in events_of(response)]


def words_of(events: list[dict[str, Any]]) -> str:
    """The text of a streamed answer."""
    return "".join(event["text"] for event in events if event["type"] == "text")


def text_in(html: str) -> str:
    """What a page says, without its markup."""
    return re.sub(r"<[^>]+>", "", html)
