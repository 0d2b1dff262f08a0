"""One connection of the load generator: sends a request and reads its response as cheaply as Python can."""

import asyncio
from time import perf_counter
from typing import cast

import httptools

# Of a chunk of a chat, and of an event of the Responses API.
_WORDS = ((b'"content":"', b'"content":""'), (b'"delta":"', b'"delta":""'))
_ENDS = (b"[DONE]", b"event: response.completed")


class Exchange:
    """What became of one request. Times are in seconds after it was sent."""

    def __init__(self) -> None:
        self.status = 0
        self.first_word: float | None = None
        self.duration = 0.0
        self.tail = b""
        self.has_ended = False
        self.session_id = ""

    def is_good(self, *, status: int, is_streamed: bool) -> bool:
        """Whether the response is a whole one with this status."""
        return self.status == status and (not is_streamed or self.has_ended)


class Connection(asyncio.Protocol):
    """A connection to the server under load, for one request after the other."""

    def __init__(self) -> None:
        self.is_lost = False
        self._transport: asyncio.WriteTransport | None = None
        self._response: asyncio.Future[Exchange] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class does not derive from it

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_lost = True
        if self._response is not None and not self._response.done():
            self._response.set_exception(ConnectionError("the server has hung up"))

    def send(self, request: bytes) -> asyncio.Future[Exchange]:
        """Send a request, which is given as its bytes; the result is its response."""
        assert self._transport is not None  # noqa: S101 - it is only handed out connected
        self._parser = httptools.HttpResponseParser(self)
        self._exchange = Exchange()
        self._response = asyncio.get_running_loop().create_future()
        self._began = perf_counter()
        self._transport.write(request)
        return self._response

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-session-id":
            self._exchange.session_id = value.decode()

    def on_body(self, body: bytes) -> None:
        exchange = self._exchange
        if exchange.first_word is None and any(body.count(word) > body.count(empty) for word, empty in _WORDS):
            exchange.first_word = perf_counter() - self._began
        exchange.has_ended = exchange.has_ended or any(end in body for end in _ENDS)
        exchange.tail = body

    def on_message_complete(self) -> None:
        exchange = self._exchange
        exchange.duration = perf_counter() - self._began
        exchange.status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.is_lost = True
            self.close()
        if self._response is not None and not self._response.done():
            self._response.set_result(exchange)
