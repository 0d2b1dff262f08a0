"""A client of the model server that does no more than it has to: bytes are written and read on kept connections."""

import asyncio
import os
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import httptools

_ADDRESS = urlsplit(os.environ["LLM_BASE_URL"])
_HOST, _PORT = _ADDRESS.hostname or "", _ADDRESS.port or 80
_HEAD = (
    f"POST {_ADDRESS.path}/chat/completions HTTP/1.1\r\nhost: {_ADDRESS.netloc}\r\n"
    "authorization: Bearer of-the-upstream\r\ncontent-type: application/json\r\ncontent-length: "
).encode()


class _Connection(asyncio.Protocol):
    """One kept connection."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class does not derive from it

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_lost = True

    def send(self, body: bytes, on_body: Callable[[bytes], None]) -> "asyncio.Future[None]":
        """Send a request; its result is there at the end of the response."""
        assert self._transport is not None  # noqa: S101 - it is only handed out connected
        self.on_body = on_body  # before the parser is made, which looks for it only then
        self._parser = httptools.HttpResponseParser(self)
        self._ended = asyncio.get_running_loop().create_future()
        self._transport.write(b"%b%d\r\n\r\n%b" % (_HEAD, len(body), body))
        return self._ended

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


class Upstream:
    """The model server."""

    def __init__(self) -> None:
        self._free: list[_Connection] = []

    async def post(self, body: bytes, on_body: Callable[[bytes], None]) -> None:
        """Send a request; `on_body` gets the pieces of its response as they come."""
        connection = self._free.pop() if self._free else None
        if connection is None or connection.is_lost:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(_Connection, _HOST, _PORT)
        await connection.send(body, on_body)
        self._free.append(connection)
