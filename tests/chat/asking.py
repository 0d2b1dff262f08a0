"""Chat requests over HTTP, for any organization. Every stream is checked against the grammar."""

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
    """A client without a key, for many requests at once. `buffer_bytes` limits what the system reads ahead for it."""
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)] if buffer_bytes else None
    transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None), socket_options=options)
    async with httpx.AsyncClient(base_url=f"{url}/api/external", timeout=60, transport=transport) as opened:
        yield opened


def user(content: Any) -> dict[str, Any]:
    """A message of the user."""
    return {"role": "user", "content": content}


def conversation(name: str) -> dict[str, Any]:
    """The part of a request's body that names the client's own session."""
    return {"elevenlabs_extra_body": {"conversation_id": name}}


async def ask(
    http: httpx.AsyncClient, organization: Organization, words: str | None = None, *, path: str = CHAT, **body: Any
) -> httpx.Response:
    """The response to one chat request with these words, or with the messages of the body."""
    return await http.post(path, json=_body(words, body), headers=organization.headers)


async def answer_of(
    http: httpx.AsyncClient, organization: Organization, words: str | None = None, **body: Any
) -> dict[str, Any]:
    """The completion of a turn that succeeds."""
    answer: dict[str, Any] = (await ask(http, organization, words, **body)).raise_for_status().json()
    return answer


def text_of(answer: dict[str, Any]) -> str:
    """The assistant's text in a completion."""
    return str(answer["choices"][0]["message"]["content"])


async def stream(
    http: httpx.AsyncClient, organization: Organization, words: str | None = None, *, path: str = CHAT, **body: Any
) -> Streamed:
    """One turn as a stream, read to its end."""
    wants_usage = body.get("stream_options", {}).get("include_usage", False)
    async with opened_stream(http, organization, words, path=path, **body) as opened:
        await opened.read()
    return read_stream(opened.response, opened.raw, wants_usage=wants_usage)


@asynccontextmanager
async def asked(
    http: httpx.AsyncClient, organization: Organization, words: str, **body: Any
) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """A turn that runs during the block. At the end of the block the client hangs up."""
    asking = asyncio.create_task(ask(http, organization, words, **body))
    try:
        yield asking
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def ask_to_stream(
    http: httpx.AsyncClient, organization: Organization, words: str | None = None, **body: Any
) -> httpx.Response:
    """The response to a stream that is refused before it begins."""
    return await ask(http, organization, words, stream=True, **body)


class OpenStream:
    """A stream that is being read. `raw` holds the bytes that have arrived."""

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
    """A stream of which nothing has been read yet. At the end of the block the client hangs up."""
    request = _body(words, {"stream": True, **body})
    async with http.stream("POST", path, json=request, headers=organization.headers) as response:
        yield OpenStream(response)


def _body(words: str | None, body: dict[str, Any]) -> dict[str, Any]:
    return body if words is None else {"messages": [user(words)], **body}
