import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from simulator.connection import ClientLeftError, ConnectionCutError, CuttableResponse
from simulator.faults.chat import ChatFault
from simulator.faults.parsing import parse_chat_faults
from simulator.log import LogKind, RequestLog
from simulator.openai.assistant import Reply, reply_to
from simulator.openai.completion import completion_object, deltas_of, head_of, size_of, true_usage
from simulator.openai.embeddings import embed
from simulator.openai.errors import ApiError
from simulator.openai.flavours import flavoured
from simulator.openai.pace import pace_of
from simulator.openai.refusals import refuse
from simulator.openai.requests import ChatRequest, check_key, parse_chat_request
from simulator.openai.stream import DONE, stream_frames
from simulator.openai.unstreamed import whole_response
from simulator.state import simulator_of
from simulator.wire import Json, JsonResponse

_MODELS = ("sim-chat", "sim-chat-small")
_CREATED = 1_767_225_600
_STREAM_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
_CHAT_FAULTS = frozenset(fault.value for fault in ChatFault)


def openai_routes() -> list[BaseRoute]:
    """The API under ``/openai/v1``."""
    routes: list[BaseRoute] = [
        Route("/models", list_models),
        Route("/chat/completions", complete, methods=["POST"]),
        Route("/embeddings", embed, methods=["POST"]),
    ]
    return [Mount("/openai/v1", routes=routes)]


async def list_models(request: Request) -> Response:
    """List the models; any other name is accepted too."""
    check_key(request)
    models = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "simulator"} for name in _MODELS]
    return JsonResponse({"object": "list", "data": models})


async def complete(request: Request) -> Response:
    """Answer a chat completion, streamed or not."""
    check_key(request)
    chat = _with_ordered_faults(request, parse_chat_request(await request.body()))
    log = simulator_of(request).log
    entry = log.add(
        LogKind.CHAT,
        model=chat.model,
        stream=chat.is_streamed,
        request=chat.body,
        traceparent=request.headers.get("traceparent"),
        faults=sorted(chat.faults),
        usage=None,
        calls=[],
        chunks_sent=0,
        sent_bytes=0,
        outcome=None,
    )
    try:
        return await _respond(request, chat, entry)
    except ApiError as error:
        log.complete(entry, outcome="refused", status=error.status)
        raise
    except ClientLeftError:
        log.complete(entry, outcome="client_disconnected")
        raise
    except ConnectionCutError:
        log.complete(entry, outcome="cut")
        raise


def _with_ordered_faults(request: Request, chat: ChatRequest) -> ChatRequest:
    rules = simulator_of(request).rules
    ordered = parse_chat_faults(rules.take(_CHAT_FAULTS, model=chat.base_model, path=request.url.path))
    return replace(chat, faults={**chat.faults, **ordered}) if ordered else chat


async def _respond(request: Request, chat: ChatRequest, entry: Json) -> Response:
    simulator = simulator_of(request)
    refusal = await refuse(request, chat)
    if refusal is not None:
        simulator.log.complete(entry, outcome="refused", status=refusal.status_code)
        return refusal
    reply = reply_to(chat)
    # What the answer costs the model's owner, whatever a fault lets the client know of it.
    entry["usage"] = true_usage(chat, reply)
    # The ids of its tool calls, by which the next request of the same conversation is recognised.
    entry["calls"] = [call.id for call in reply.calls]
    head = head_of(chat, f"chatcmpl-{secrets.token_urlsafe(22)}", int(simulator.clock.now()))
    pace = pace_of(chat, len(deltas_of(chat, reply)) * chat.choices)
    if _is_stream(chat):
        frames = _logged(simulator.log, entry, stream_frames(chat, reply, head, pace), chat, reply)
        status = 201 if ChatFault.SUCCESS_201 in chat.faults else 200
        return CuttableResponse(flavoured(frames, chat.faults), status, _STREAM_HEADERS)
    response = await whole_response(request, chat, completion_object(chat, reply, head), pace)
    simulator.log.complete(entry, outcome="finished", sent_bytes=size_of(chat, reply))
    return response


def _is_stream(chat: ChatRequest) -> bool:
    """Whether the answer is a stream, which is not always what was asked for."""
    return ChatFault.STREAM_FOR_JSON in chat.faults or (
        chat.is_streamed and ChatFault.JSON_FOR_STREAM not in chat.faults
    )


async def _logged(
    log: RequestLog, entry: Json, frames: AsyncGenerator[bytes, None], chat: ChatRequest, reply: Reply
) -> AsyncGenerator[bytes, None]:
    outcome = "client_disconnected"
    try:
        async with aclosing(frames):
            async for frame in frames:
                entry["chunks_sent"] += 1
                if frame is DONE:
                    # Clients hang up on it without waiting for the end of the body.
                    outcome = "finished"
                yield frame
        outcome = "finished"
    except ConnectionCutError:
        outcome = "cut"
        raise
    finally:
        # The first frames only name the role.
        words = max(0, entry["chunks_sent"] - chat.choices)
        log.complete(entry, outcome=outcome, sent_bytes=size_of(chat, reply, words))
