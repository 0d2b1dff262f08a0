"""The lines of a stream, each with its time of arrival."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

CHAT = "/api/external/v1/chat/completions"
KEEP_ALIVE = ": keep-alive"
DONE = "data: [DONE]"


@dataclass(frozen=True)
class Line:
    """A line of a stream, and its time of arrival in seconds since the request."""

    at: float
    text: str


def question(agent: str, words: str = "Count to 20", **more: object) -> dict[str, Any]:
    return {"model": f"agent/{agent}", "messages": [{"role": "user", "content": words}], **more}


async def lines_of(http: httpx.AsyncClient, body: dict[str, Any], path: str = CHAT) -> AsyncGenerator[Line]:
    """The lines of a stream as they arrive, without blank ones."""
    began = time.monotonic()
    async with http.stream("POST", path, json={**body, "stream": True}) as response:
        assert response.status_code == 200
        assert response.headers.get("content-encoding", "identity") == "identity"
        async for text in response.aiter_lines():
            if text:
                yield Line(time.monotonic() - began, text)


def content_of(line: Line) -> str:
    """The text that the line adds to the answer."""
    if not line.text.startswith("data: {"):
        return ""
    choices = json.loads(line.text.removeprefix("data: ")).get("choices", [])
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def until_quiet(http: httpx.AsyncClient, body: dict[str, Any], keep_alives: int) -> list[Line]:
    """The lines of a stream up to this many keep-alives after its last content; then the client disconnects."""
    found: list[Line] = []
    async with aclosing(lines_of(http, body)) as lines:
        async for line in lines:
            found.append(line)
            if [late.text for late in found[-keep_alives:]] == [KEEP_ALIVE] * keep_alives:
                break
    return found
