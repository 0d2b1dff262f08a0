"""A proxy without any duty: `python -m bench.turn_cost.bare_proxy PORT` passes each body to `LLM_BASE_URL` and back."""

import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import uvicorn

_UPSTREAM = f"{os.environ.get('LLM_BASE_URL', '')}/chat/completions"
_HEADERS = {"content-type": "application/json"}

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class BareProxy:
    """The proxy as an ASGI application."""

    def __init__(self) -> None:
        self._http: aiohttp.ClientSession | None = None

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        if self._http is None:
            self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        body = await read_body(receive)
        async with self._http.post(_UPSTREAM, data=body, headers=_HEADERS) as response:
            if response.headers["content-type"] == "application/json":
                await _answer(send, await response.read())
                return
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for data in response.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body"})


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request."""
    body: bytes = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message.get("more_body"):
            return body


async def _answer(send: Send, content: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def run(app: Callable[..., Awaitable[None]], port: int) -> None:
    """Serve an ASGI application without a lifespan and without a log of requests."""
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
    )


if __name__ == "__main__":
    run(BareProxy(), int(sys.argv[1]))
