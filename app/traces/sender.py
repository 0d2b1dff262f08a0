"""Sends spans to a collector, by OTLP over HTTP, in the background. Nothing waits for it, and nothing fails with it."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final

import aiohttp
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from app.core.addresses import http_address_of
from app.core.concurrency import cancel_all
from app.core.metrics import TRACE_SPANS
from app.core.outgoing import Outgoing

logger = logging.getLogger(__name__)

_MOST_WAITING: Final = 4096
_MOST_AT_ONCE: Final = 512
_TRIES: Final = 3
# Of one try.
_SEND_SECONDS: Final = 10.0
_QUIET_SECONDS: Final = 60.0
_MOST_ANSWERED: Final = 64 * 1024
# As the protocol says. After any other refusal a second try would be refused, too.
_WORTH_ANOTHER_TRY: Final = frozenset({429, 502, 503, 504})

_SENT, _DROPPED = TRACE_SPANS.labels("sent"), TRACE_SPANS.labels("dropped")


class _NotTakenError(Exception):
    """The collector has not taken the spans. The text says why, with nothing secret in it."""

    def __init__(self, reason: str, *, may_be_tried_again: bool) -> None:
        super().__init__(reason)
        self.may_be_tried_again = may_be_tried_again


class SpanSender(SpanProcessor):
    """Keeps spans that have ended until they are sent: `_MOST_WAITING` at most, further ones are dropped and counted.

    Args:
        url: where to send them.
        headers: what to send with them.
        outgoing: how to reach it.
        pause_seconds: between two looks at what there is to send, and between two tries.
        last_seconds: for all that is sent when the process stops.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        outgoing: Outgoing,
        *,
        pause_seconds: float = 1.0,
        last_seconds: float = 3.0,
    ) -> None:
        self._url = url
        self._address = http_address_of(url)
        self._headers = headers
        self._outgoing = outgoing
        self._pause_seconds = pause_seconds
        self._last_seconds = last_seconds
        self._waiting: deque[ReadableSpan] = deque()
        self._is_enough = asyncio.Event()
        self._is_stopping = False
        # Since the last line in the log.
        self._dropped = 0
        self._reason = ""
        self._defect: Exception | None = None
        self._quiet_until = 0.0

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span that has ended. Called in the thread of the event loop, as all spans begin and end there."""
        if len(self._waiting) >= _MOST_WAITING:
            self._drop(1, self._reason or "more spans have ended than could be sent")
            return
        self._waiting.append(span)
        if len(self._waiting) >= _MOST_AT_ONCE:
            self._is_enough.set()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """See `Tracer.sending`."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._outgoing.tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=_SEND_SECONDS),
        ) as session:
            going = asyncio.create_task(self._keep_sending(session))
            try:
                yield
            finally:
                self._is_stopping = True
                self._is_enough.set()
                # Not cancelled at once: what is being sent would be sent twice.
                await asyncio.wait({going}, timeout=self._last_seconds)
                await cancel_all([going])
                self._give_up()

    async def _keep_sending(self, session: aiohttp.ClientSession) -> None:
        while not self._is_stopping:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_seconds):
                    await self._is_enough.wait()
            self._is_enough.clear()
            await self._send_waiting(session)
            self._complain()
        await self._send_waiting(session)

    async def _send_waiting(self, session: aiohttp.ClientSession) -> None:
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(_MOST_AT_ONCE, len(self._waiting)))]
            try:
                await self._send(session, taken)
            except asyncio.CancelledError:
                # The process has no time left: they are counted with those that still wait.
                self._waiting.extendleft(reversed(taken))
                raise
            except _NotTakenError as error:
                self._drop(len(taken), str(error))
                self._complain()
            except Exception as error:  # noqa: BLE001 - a defect: traces may be lost by it, and nothing else
                self._drop(len(taken), type(error).__name__)
                self._defect = error

    async def _send(self, session: aiohttp.ClientSession, spans: Sequence[ReadableSpan]) -> None:
        """Send the spans, several times if need be.

        Raises:
            _NotTakenError: none of them was taken.
        """
        # Thousands of attributes would keep the event loop for a while.
        body = await asyncio.to_thread(_encoded, spans)
        for left in reversed(range(_TRIES)):
            try:
                rejected = min(len(spans), await self._post(session, body))
            except _NotTakenError as error:
                if not left or not error.may_be_tried_again:
                    raise
                await asyncio.sleep(self._pause_seconds)
            else:
                _SENT.inc(len(spans) - rejected)
                if rejected:
                    self._drop(rejected, f"{self._address} has rejected a part of them")
                return

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> int:
        """Send them once. How many of them the collector has rejected."""
        options = self._outgoing.options_for(self._url)
        options["headers"] = {**options["headers"], "Content-Type": "application/x-protobuf", **self._headers}
        try:
            async with session.post(self._url, data=body, allow_redirects=False, **options) as response:
                said = await response.content.read(_MOST_ANSWERED)
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # Only the class: texts of errors may have URLs with passwords.
            raise _NotTakenError(f"{self._address}: {type(error).__name__}", may_be_tried_again=True) from None
        if not 200 <= status < 300:
            reason = f"{self._address} answered {status}"
            raise _NotTakenError(reason, may_be_tried_again=status in _WORTH_ANOTHER_TRY)
        return _rejected(said)

    def _give_up(self) -> None:
        """Count what could not be sent before the process stops."""
        if self._waiting:
            self._drop(len(self._waiting), self._reason or "the process has stopped before they were sent")
            self._waiting.clear()
        self._quiet_until = 0.0
        self._complain()

    def _drop(self, count: int, reason: str) -> None:
        _DROPPED.inc(count)
        self._dropped += count
        self._reason = reason

    def _complain(self) -> None:
        """Log how many were dropped since the last line, once a minute at most."""
        if self._dropped and monotonic() >= self._quiet_until:
            details = {"dropped": self._dropped, "reason": self._reason}
            logger.warning("spans_dropped", extra=details, exc_info=self._defect)
            self._dropped, self._reason, self._defect = 0, "", None
            self._quiet_until = monotonic() + _QUIET_SECONDS


def _encoded(spans: Sequence[ReadableSpan]) -> bytes:
    return encode_spans(spans).SerializeToString()


def _rejected(said: bytes) -> int:
    try:
        return ExportTraceServiceResponse.FromString(said).partial_success.rejected_spans
    except DecodeError:
        # Some collectors answer with JSON, or with nothing: the status says that they were taken.
        return 0
