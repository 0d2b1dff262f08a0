"""What an ASGI application cannot do by itself: cut the connection, and notice that the client closed it."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TRANSPORT = "transport"


class ConnectionCutError(Exception):
    """The connection is cut: a body raises this to cut it, `drop` raises it afterwards."""


class ClientLeftError(Exception):
    """The client closed its connection before it was answered."""


class CuttableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the connection's transport within reach of the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Offer the transport as ``request.state.transport``."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _TRANSPORT: transport}


async def wait_for_hangup(receive: Receive) -> None:
    """Return once the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def pause(request: Request, seconds: float | None) -> None:
    """Keep the client waiting; its request body must have been read.

    Args:
        request: Whose client waits.
        seconds: How long; None: until it closes the connection.

    Raises:
        ClientLeftError: It closed the connection meanwhile.
    """
    try:
        async with asyncio.timeout(seconds):
            await wait_for_hangup(request.receive)
    except TimeoutError:
        return
    raise ClientLeftError


async def drop(request: Request) -> NoReturn:
    """Close the connection without a byte of response.

    Raises:
        ConnectionCutError: Always, once it is closed.
    """
    await _cut(request.scope, request.receive)
    raise ConnectionCutError


class CuttableResponse(Response):
    """Streams a body that may raise `ConnectionCutError`, and closes it as soon as the client hangs up.

    A body that is closed early sees ``asyncio.CancelledError`` or ``GeneratorExit`` at the point where it waits.
    """

    def __init__(self, body: AsyncGenerator[bytes, None], status: int, headers: Mapping[str, str]) -> None:
        self.status_code = status
        self.background = None
        self._body = body
        self.raw_headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(scope, receive, send))
        hangup = asyncio.create_task(wait_for_hangup(receive))
        try:
            await asyncio.wait((sending, hangup), return_when=asyncio.FIRST_COMPLETED)
        finally:
            hangup.cancel()
            sending.cancel()
            results = await asyncio.gather(sending, hangup, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._send_body(send)
        except ConnectionCutError:
            await _cut(scope, receive)

    async def _send_body(self, send: Send) -> None:
        head: dict[str, Any] = {"type": "http.response.start", "status": self.status_code}
        await send({**head, "headers": self.raw_headers})
        async with aclosing(self._body) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await asyncio.sleep(0)  # a burst of chunks must not keep a hang-up from being noticed
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _cut(scope: Scope, receive: Receive) -> None:
    transport = scope.get("state", {}).get(_TRANSPORT)
    if transport is None:
        raise RuntimeError("Cutting connections needs simulator.connection.CuttableProtocol")
    transport.close()
    await wait_for_hangup(receive)
