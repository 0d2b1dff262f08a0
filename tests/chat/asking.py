"""Turns over HTTP, for any organization; every stream is checked against the grammar."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.chat.openai.grammar import Streamed, read_stream
from tests.factories import Organization

CHAT = "/v1/chat/completions"


@asynccontextmanager
async def open_http(url: str, *, buffer_bytes: int | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key, for many requests at once. What the system reads ahead for it may be kept small."""
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)] if buffer_bytes else None
    transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None), socket_options=options)
    async with httpx.AsyncClient(base_url=f"{url}/api/external", timeout=60, transport=transport) as opened:
        yield opened


def user(content: Any) -> dict[str, Any]:
    """A message of the user's."""
    return {"role": "user", "content": content}


def conversation(name: str) -> dict[str, Any]:
    """What names a session of the client's own choice."""
    return {"elevenlabs_extra_body": {"conversation_id": name}}


async def ask(
    http: httpx.AsyncClient, organization: Organization, words: str | None = None, *, path: str = CHAT, **body: Any
) -> httpx.Response:
    """One turn: these words, or the messages of the body."""
    return await http.post(path, json=_body(words, body), headers=organization.headers)


async def answer_of(
    http: httpx.AsyncClient, organization: Organization, words: str | None = None, **body: Any
) -> dict[str, Any]:
    """What a turn that goes well answers."""
    answer: dict[str, Any] = (await ask(http, organization, words, **body)).raise_for_status().json()
    return answer


def text_of(answer: dict[str, Any]) -> str:
    """What the assistant says in an answer."""
    return str(answer["choices"][0]["message"]["content"])


async def stream(
    http: httpx.AsyncClient, organization: Organization, words: str | None = None, *, path: str = CHAT, **body: Any
) -> Streamed:
    """One turn as a stream that begins."""
    wants_usage = body.get("stream_options", {}).get("include_usage", False)
    async with opened_stream(http, organization, words, path=path, **body) as opened:
        await opened.read()
    return read_stream(opened.response, opened.raw, wants_usage=wants_usage)


@asynccontextmanager
async def asked(
    http: httpx.AsyncClient, organization: Organization, words: str, **body: Any
) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """One turn that is under way during the block; leaving the block hangs up."""
    asking = asyncio.create_task(ask(http, organization, words, **body))
    try:
        yield asking
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def ask_to_stream(
    http: httpx.AsyncClient, organization: Organization, words: str | None = None, **body: Any
) -> httpx.Response:
    """A stream that is refused before it begins."""
    return await ask(http, organization, words, stream=True, **body)


class OpenStream:
    """A stream that is being read; `raw` is what has arrived of it."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.raw = b""
        # Kept for as long as the stream: httpx hangs up when its iterator is dropped.
        self._pieces = response.aiter_raw()

    async def read(self, until: bytes | None = None) -> None:
        """Read up to these bytes, or to the end."""
        while until is None or until not in self.raw:
            piece = await anext(self._pieces, None)
            if piece is None:
                assert until is None, self.raw
                return
            self.raw += piece


@asynccontextmanager
async def opened_stream(
    http: httpx.AsyncClient, organization: Organization, words: str | None = None, *, path: str = CHAT, **body: Any
) -> AsyncIterator[OpenStream]:
    """A stream, not read yet; leaving the block hangs up."""
    request = _body(words, {"stream": True, **body})
    async with http.stream("POST", path, json=request, headers=organization.headers) as response:
        yield OpenStream(response)


def _body(words: str | None, body: dict[str, Any]) -> dict[str, Any]:
    return body if words is None else {"messages": [user(words)], **body}
