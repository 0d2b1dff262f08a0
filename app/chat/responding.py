"""The HTTP response of a turn in any protocol: JSON or a stream, live or replayed. Notices clients that hang up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from time import monotonic
from typing import Final, Protocol
from urllib.parse import quote

import orjson
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.chat.turns.result import TurnIdentity, TurnResult
from app.chat.turns.run import STORING_SECONDS, RunningTurn
from app.chat_models.protocol import JsonObject
from app.core import sse
from app.core.middleware import response_hooks
from app.idempotency.service import REPLAYED_HEADERS

# An error that comes this early is still reported by the status of the response; then the stream has to begin.
FIRST_WORD_SECONDS: Final = 4.5
# How much longer than its turn, and the storing of its answer, a stream may take to be read.
_READING_SECONDS = 10.0
# In bytes. Proxies refuse responses with more than about 4 KB of headers.
_LONGEST_HEADER = 1024


class TurnForm(Protocol):
    """The form that a protocol gives to a turn."""

    def whole(self, result: TurnResult) -> JsonObject:
        """The whole result."""
        ...

    def stream(self, running: RunningTurn) -> AsyncIterator[bytes]:
        """A running turn as server-sent events, to its end."""
        ...

    def replay(self, result: TurnResult) -> AsyncIterator[bytes]:
        """A stored result as server-sent events."""
        ...


class _TurnStream(StreamingResponse):
    """The stream of a turn.

    If it ends early, the turn is abandoned. It also ends if the client hangs up, or stops reading for too long.
    """

    def __init__(self, running: RunningTurn, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, headers=_headers(running.turn.identity) | sse.HEADERS)
        self._running = running

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        longest = self._running.turn.time_limit + STORING_SECONDS + _READING_SECONDS
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(longest) as limit, _heeding_hangup(receive, partial(_end, limit)):
                    await self.stream_response(send)
        finally:
            # Not in the generator of the events: a client may hang up before the generator has started.
            self._running.abandon()


async def respond(request: Request, begun: RunningTurn | TurnResult, form: TurnForm, *, is_streamed: bool) -> Response:
    """The response of a turn that has begun, or of a stored result.

    Until a live response starts, a client that hangs up abandons the turn.

    Raises:
        AppError: the turn failed before its response started.
    """
    if isinstance(begun, TurnResult):
        return _replay(begun, form, is_streamed=is_streamed)
    if begun.turn.request.outlives_client:
        # The turn goes on if the client hangs up, and keeps the request's slot until it ends.
        response_hooks(request).before_end.append(begun.ended)
    async with _heeding_hangup(request.receive, begun.abandon):
        if not is_streamed:
            result = await begun.result()
            return _json(form.whole(result), _headers(result.turn))
        await begun.deltas.wait_for_first(begun.turn.asked_at + FIRST_WORD_SECONDS - monotonic())
        if begun.has_failed:
            await begun.result()
    return _TurnStream(begun, form.stream(begun))


def respond_at_once(body: JsonObject, *, is_replayed: bool = False) -> Response:
    """The response to a request whose turn goes on by itself, or has ended."""
    return _json(body, _of_session(body["session_id"]) | (REPLAYED_HEADERS if is_replayed else {}))


def respond_with_events(events: AsyncIterator[bytes], *, is_replayed: bool = False) -> Response:
    """Server-sent events that are there whoever reads them."""
    return StreamingResponse(events, headers=sse.HEADERS | (REPLAYED_HEADERS if is_replayed else {}))


def _replay(stored: TurnResult, form: TurnForm, *, is_streamed: bool) -> Response:
    headers = _headers(stored.turn) | REPLAYED_HEADERS
    if not is_streamed:
        return _json(form.whole(stored), headers)
    return StreamingResponse(form.replay(stored), headers=headers | sse.HEADERS)


@asynccontextmanager
async def _heeding_hangup(receive: Receive, act: Callable[[], None]) -> AsyncIterator[None]:
    """Act if the client hangs up while the block runs."""
    watching = asyncio.create_task(_act_when_gone(receive, act))
    try:
        yield
    finally:
        watching.cancel()


def _end(limit: asyncio.Timeout) -> None:
    """End the block of the timeout now, if nothing else has ended it."""
    if not limit.expired():
        limit.reschedule(0)


async def _act_when_gone(receive: Receive, act: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    act()


def _json(body: JsonObject, headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json", headers=headers)


def _headers(turn: TurnIdentity) -> dict[str, str]:
    """The session's name, in the spelling of URLs if a header cannot hold it; nothing if it is too long for proxies.

    A turn of which nothing is kept has no session.
    """
    return _of_session(turn.session_name)


def _of_session(name: str | None) -> dict[str, str]:
    if not name:
        return {}
    is_plain = name.isascii() and name.isprintable() and name == name.strip()
    spelled = name if is_plain else quote(name, safe="")
    return {"X-Session-ID": spelled} if len(spelled) <= _LONGEST_HEADER else {}
