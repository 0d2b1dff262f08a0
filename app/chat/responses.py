"""HTTP around a turn: JSON or a stream, the same again, and clients that leave."""

import asyncio
from functools import partial

import orjson
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from app.chat import replies
from app.chat.running import Render, RunningTurn
from app.chat.schemas import ChatRequest
from app.chat.streams import stream_replay, stream_turn
from app.chat.turn import Replay, TurnResult
from app.chat_models.protocol import JsonObject
from app.content.urls import FileUrls
from app.core import sse

# Errors that come this early are still told by the status; then the stream must begin.
_FIRST_WORD_SECONDS = 4.5
# nginx ignores `no-transform` and compresses what names no encoding of its own.
_STREAM_HEADERS = sse.HEADERS | {"Content-Encoding": "identity"}


def renderer(urls: FileUrls) -> Render:
    """How a turn's answer is kept for its Idempotency-Key."""
    return partial(replies.completion, urls=urls)


async def answer(request: Request, running: RunningTurn, body: ChatRequest, urls: FileUrls) -> Response:
    """The response of a turn that has begun."""
    if body.stream:
        await running.wait_for_first_word(_FIRST_WORD_SECONDS)
        if running.has_failed:
            await running.result()
        events = stream_turn(running, urls, wants_usage=body.wants_usage)
        return StreamingResponse(events, headers=_session_header(running.turn.session.public_id) | _STREAM_HEADERS)
    result = await _unless_client_leaves(request, running)
    return _json(replies.completion(running.turn, result, urls))


def replay(stored: Replay, body: ChatRequest) -> Response:
    """The response that the same request was given before."""
    headers = _session_header(stored.answer["session_id"]) | {"Idempotent-Replayed": "true"}
    if body.stream:
        events = stream_replay(stored.answer, wants_usage=body.wants_usage)
        return StreamingResponse(events, headers=headers | _STREAM_HEADERS)
    return _json(stored.answer, {"Idempotent-Replayed": "true"})


async def _unless_client_leaves(request: Request, running: RunningTurn) -> TurnResult:
    """The turn's result; when the client hangs up before it, the turn is abandoned."""
    gone = asyncio.create_task(_wait_until_gone(request))
    try:
        await asyncio.wait({gone, running.task}, return_when=asyncio.FIRST_COMPLETED)
        if not running.task.done():
            running.abandon()
        return await running.result()
    finally:
        gone.cancel()


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(body: JsonObject, headers: dict[str, str] | None = None) -> Response:
    session = _session_header(body["session_id"])
    return Response(orjson.dumps(body), media_type="application/json", headers=session | (headers or {}))


def _session_header(public_id: str) -> dict[str, str]:
    return {"X-Session-ID": public_id}
