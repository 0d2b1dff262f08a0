"""HTTP around a turn: JSON or a stream, the same again, and clients that leave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from time import monotonic

import orjson
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.chat.openai import completion as replies
from app.chat.openai.request import ChatRequest
from app.chat.openai.stream import stream_replay, stream_turn
from app.chat.turns.run import RunningTurn
from app.chat.turns.settle import Render
from app.chat.turns.turn import Replay
from app.chat_models.protocol import JsonObject
from app.content.urls import FileUrls
from app.core import sse
from app.core.middleware import response_hooks

# Errors that come this early are still told by the status; then the stream must begin.
_FIRST_WORD_SECONDS = 4.5
# How much longer than its turn a stream may take to be read.
_READING_SECONDS = 10.0


class _TurnStream(StreamingResponse):
    """A turn's stream. Left before its end it abandons the turn; even for a client that does not read, it ends."""

    def __init__(self, running: RunningTurn, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, headers=_session_header(running.turn.session.public_id) | sse.HEADERS)
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._running.turn.time_limit + _READING_SECONDS):
                    await super().__call__(scope, receive, send)
        finally:
            # Here and not where the events are made: a client may leave before the first of them is asked for.
            self._running.abandon()


def renderer(urls: FileUrls) -> Render:
    """How a turn's answer is kept for its Idempotency-Key."""
    return partial(replies.completion, urls=urls)


async def answer(request: Request, running: RunningTurn, body: ChatRequest, urls: FileUrls) -> Response:
    """The response of a turn that has begun; until there is one, a client that hangs up abandons the turn."""
    if running.turn.idempotent:
        # It runs on when the client leaves, and keeps its place among the organization's requests until it ends.
        response_hooks(request).before_end.append(running.ended)
    async with _heeding_hangup(request, running):
        if not body.stream:
            return _json(replies.completion(running.turn, await running.result(), urls))
        await running.deltas.wait_for_first(running.turn.asked_at + _FIRST_WORD_SECONDS - monotonic())
        if running.has_failed:
            await running.result()
    return _TurnStream(running, stream_turn(running, urls, wants_usage=body.wants_usage))


def replay(stored: Replay, body: ChatRequest) -> Response:
    """The response that the same request was given before."""
    headers = _session_header(stored.answer["session_id"]) | {"Idempotent-Replayed": "true"}
    if body.stream:
        events = stream_replay(stored.answer, wants_usage=body.wants_usage)
        return StreamingResponse(events, headers=headers | sse.HEADERS)
    return _json(stored.answer, {"Idempotent-Replayed": "true"})


@asynccontextmanager
async def _heeding_hangup(request: Request, running: RunningTurn) -> AsyncIterator[None]:
    watching = asyncio.create_task(_abandon_when_gone(request, running))
    try:
        yield
    finally:
        watching.cancel()


async def _abandon_when_gone(request: Request, running: RunningTurn) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    running.abandon()


def _json(body: JsonObject, headers: dict[str, str] | None = None) -> Response:
    session = _session_header(body["session_id"])
    return Response(orjson.dumps(body), media_type="application/json", headers=session | (headers or {}))


def _session_header(public_id: str) -> dict[str, str]:
    return {"X-Session-ID": public_id}
