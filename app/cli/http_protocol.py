"""HTTP/1.1 as clients may speak it: limits on heads, pipelines and silence, and the server's own refusals.

Uvicorn has none of these limits. What it refuses itself, before any of our code has seen a request, has another form
than the API's errors.
"""

import asyncio
import logging
import secrets
from typing import Any, Final

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.core.errors import AppError, HeadersTooLargeError, InvalidRequestError, RequestTimeoutError

logger = logging.getLogger("app.access")

MOST_HEAD_BYTES: Final = 64 * 1024
MOST_FIELDS: Final = 100
# How long a client may take for the head of a request, or not read what it is sent.
SILENCE_SECONDS: Final = 30.0
# What a client that sends a body must send in that time: a kilobyte a second.
LEAST_BODY_BYTES: Final = 30 * 1024
# How many requests a client may send before the response to the first one.
MOST_PIPELINED: Final = 16
# How long, and how much, is read of a client that has been refused.
LINGER_SECONDS: Final = 5.0
_MOST_UNREAD_BYTES: Final = 16 * 1024 * 1024
# What says how long a body is.
_FRAMING: Final = (b"content-length", b"transfer-encoding")


class _TooManyPipelinedError(Exception):
    """The client has sent more requests than wait for their turn on a connection."""


class HttpProtocol(HttpToolsProtocol):
    """One connection.

    It is in one of these states: waiting for a head (`_is_in_head`), waiting for a body (`_is_in_body`), or waiting for
    our response. A window of time runs in all of them, and begins anew with each state.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._is_in_head = True
        self._is_in_body = False
        # The parser is fed with a head that has been handled.
        self._is_repeating = False
        # Nothing that the client sends any more is read.
        self._is_deaf = False
        self._is_hung_up = False
        # How many heads have begun; and of the last one: bytes and fields that are complete, and bytes as they arrived.
        self._heads = 0
        self._head_bytes = self._fields = self._open_bytes = 0
        self._received = 0
        self._unsent = 0
        self._window: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the class above
        super().connection_made(transport)
        self._begin_window()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._window is not None:
            self._window.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse what the client has sent, or refuse it."""
        self._unset_keepalive_if_required()
        self._received += len(data)
        if self._is_deaf or self.transport.is_closing():
            if self._received > _MOST_UNREAD_BYTES:
                self.transport.close()
            return
        heads = self._heads
        try:
            self._parse(data)
        except _TooManyPipelinedError:
            self._hang_up_after_responses()
        except HeadersTooLargeError as error:
            self._refuse(error)
        except httptools.HttpParserError:
            self._refuse(InvalidRequestError("The request is not valid HTTP"))
        else:
            # The parser shows a field once it is complete. Until then, what arrives of the head is counted.
            self._open_bytes = self._open_bytes + len(data) if self._is_in_head and self._heads == heads else 0
            if self._open_bytes > MOST_HEAD_BYTES:
                self._refuse(HeadersTooLargeError())

    def _parse(self, data: bytes) -> None:
        """Feed the parser. An upgrade to another protocol is not offered, so the request goes on as what it is."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade()
            self._parse(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, HeadersTooLargeError | _TooManyPipelinedError):
                raise error.__context__ from None
            raise

    def _ignore_upgrade(self) -> None:
        """Begin a new parser after the head: the old one takes what follows for another protocol."""
        framing = [(name, value) for name, value in self.headers if name in _FRAMING]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in framing)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._is_repeating = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + head + b"\r\n")
        self._is_repeating = False

    def on_message_begin(self) -> None:
        if self._is_repeating:
            return
        self._is_in_head = True
        self._heads += 1
        self._head_bytes = self._fields = 0
        if self._heads > 1:  # the window of the first head began with the connection
            self._begin_window()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._is_repeating:
            self._count(len(url))
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_repeating:
            return
        self._fields += 1
        self._count(len(name) + len(value))
        if self._is_in_head:  # nothing reads fields that follow a body
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._is_repeating:
            return
        if len(self.pipeline) >= MOST_PIPELINED:
            raise _TooManyPipelinedError
        super().on_headers_complete()
        self._is_in_head, self._is_in_body = False, True
        self._begin_window()

    def on_message_complete(self) -> None:
        if self._is_repeating or not self.parser.should_upgrade():
            self._is_in_body = False
            self._begin_window()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self._begin_window()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._begin_window()

    def _should_upgrade(self) -> bool:
        return False

    def _count(self, size: int) -> None:
        """Count a part of the head.

        Raises:
            HeadersTooLargeError: the head has too many fields or bytes.
        """
        self._head_bytes += size
        if self._fields > MOST_FIELDS or self._head_bytes > MOST_HEAD_BYTES:
            raise HeadersTooLargeError

    def _begin_window(self, seconds: float = SILENCE_SECONDS) -> None:
        if self._window is not None:
            self._window.cancel()
        self._received = 0
        self._unsent = self.transport.get_write_buffer_size()
        self._window = self.loop.call_later(seconds, self._end_window)

    def _end_window(self) -> None:
        """End the connection if its client has done nothing in a whole window that it should have done."""
        cycle: RequestResponseCycle | None = self.cycle
        if self._is_hung_up:
            self.transport.abort()
        elif self.transport.is_closing() or self.flow.write_paused:
            self._abort_unless_it_reads()
        elif self._heads > 0 and (self._is_in_head or (self._is_in_body and self._is_slow())):
            self._refuse(RequestTimeoutError())
        elif cycle is None or (cycle.response_complete and not self._is_in_body):
            self.transport.close()
        else:
            self._begin_window()

    def _is_slow(self) -> bool:
        """Whether the client sends its body too slowly, and not we read it so, or have not asked for it yet."""
        return (
            self._received < LEAST_BODY_BYTES and not self.flow.read_paused and not self.cycle.waiting_for_100_continue
        )

    def _abort_unless_it_reads(self) -> None:
        if self.transport.get_write_buffer_size() >= self._unsent:
            self.transport.abort()
        else:
            self._begin_window()

    def _refuse(self, error: AppError) -> None:
        """Respond to what is no request, and hang up."""
        cycle: RequestResponseCycle | None = self.cycle
        is_responding = cycle is not None and not cycle.response_complete
        if is_responding and not self._is_in_body:
            self._hang_up_after_responses()
            return
        self._is_deaf = True
        # Within a body only if nothing else is said to this client before, by the request itself or by earlier ones.
        if not self._is_in_body or (is_responding and not self.cycle.response_started and not self.pipeline):
            self._respond(error)
        if is_responding:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._hang_up()

    def _hang_up(self) -> None:
        """Send nothing more, and read for a moment what still comes.

        A connection that is closed while its client sends is reset, and the client never reads the response.
        """
        self._is_hung_up = True
        self.transport.write_eof()
        self._begin_window(LINGER_SECONDS)

    def _hang_up_after_responses(self) -> None:
        self._is_deaf = True
        self.cycle.keep_alive = False

    def _respond(self, error: AppError) -> None:
        content = orjson.dumps(error.body())
        request_id = secrets.token_hex(16)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "X-Request-ID": request_id,
            **error.headers(),
            "Connection": "close",
        }
        fields = [*self.server_state.default_headers, *((n.encode(), v.encode()) for n, v in headers.items())]
        lines = b"".join(name.lower() + b": " + value + b"\r\n" for name, value in fields)
        self.transport.write(STATUS_LINE[error.status] + lines + b"\r\n" + content)
        logger.info("refused", extra={"status": error.status, "code": error.code, "request_id": request_id})
