"""A completion that comes as a whole, and the faults that happen on the way."""

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from simulator.connection import ConnectionCutError, CuttableResponse, pause
from simulator.faults.chat import ChatFault
from simulator.openai.errors import server_error
from simulator.openai.pace import Pace
from simulator.openai.requests import ChatRequest
from simulator.wire import Json, JsonResponse, dump

_JSON = "application/json"


async def whole_response(request: Request, chat: ChatRequest, document: Json, pace: Pace) -> Response:
    """Answer with a completion once its time has passed.

    Raises:
        ClientLeftError: The client did not wait for it.
    """
    await pause(request, pace.total)
    if ChatFault.STALL in chat.faults:
        await pause(request, None)
    if ChatFault.ERROR_FRAME in chat.faults:
        return JsonResponse(server_error().body)
    status = 201 if ChatFault.SUCCESS_201 in chat.faults else 200
    content = dump(document)
    if ChatFault.GARBAGE in chat.faults:
        return Response(content[: len(content) // 2], media_type=_JSON)
    if ChatFault.CUT in chat.faults:
        return CuttableResponse(_half(content), 200, {"Content-Type": _JSON, "Content-Length": str(len(content))})
    return Response(content, status, media_type=_JSON)


async def _half(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content[: len(content) // 2]
    raise ConnectionCutError
