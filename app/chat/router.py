import asyncio

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from app.chat import replies, service
from app.chat.dependencies import OrchestratorInvoker, TurnsDep
from app.chat.running import RunningTurn, TurnResult
from app.chat.schemas import ChatRequest
from app.chat.streams import stream_turn
from app.content.dependencies import FileUrlsDep
from app.core import sse
from app.dependencies import ResourcesDep
from app.rate_limits.dependencies import GuardedRoute

router = APIRouter(prefix="/api/external/v1", tags=["Chat"], route_class=GuardedRoute)

# Errors that come this early are still told by the status; then the stream must begin.
_FIRST_WORD_SECONDS = 4.5


@router.post("/chat/completions")
async def create_chat_completion(
    body: ChatRequest,
    caller: OrchestratorInvoker,
    request: Request,
    resources: ResourcesDep,
    turns: TurnsDep,
    urls: FileUrlsDep,
) -> Response:
    """Run one turn of the organization's orchestrator, in the form of OpenAI's chat completions."""
    running = turns.start(resources, await service.open_turn(resources, caller, body))
    if body.stream:
        return await _streamed(running, body, urls)
    result = await _unless_client_leaves(request, running)
    return _json(running, replies.completion(running.turn, result, urls))


async def _streamed(running: RunningTurn, body: ChatRequest, urls: FileUrlsDep) -> Response:
    await running.wait_for_first_word(_FIRST_WORD_SECONDS)
    if running.has_failed:
        await running.result()
    return StreamingResponse(
        stream_turn(running, urls, wants_usage=body.wants_usage), headers=_headers(running) | sse.HEADERS
    )


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


def _json(running: RunningTurn, body: dict[str, object]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json", headers=_headers(running))


def _headers(running: RunningTurn) -> dict[str, str]:
    return {"X-Session-ID": running.turn.session.public_id}
