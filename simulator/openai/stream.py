"""The frames of a streamed completion, and the faults that happen on the way."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

from simulator.connection import ConnectionCutError
from simulator.faults.chat import ChatFault
from simulator.faults.parsing import ChatFaults
from simulator.openai.assistant import Reply
from simulator.openai.completion import (
    chunk_object,
    completion_object,
    deltas_of,
    early_usage,
    finish_of,
    usage_chunk,
    usage_of,
)
from simulator.openai.errors import server_error
from simulator.openai.pace import Pace
from simulator.openai.requests import ChatRequest
from simulator.wire import Json, dump

DONE = b"data: [DONE]\n\n"

_GARBAGE = b'data: {"id": "chatcmpl-\n\n'
_ERRORS: Mapping[ChatFault, Json | list[Json]] = {
    ChatFault.ERROR_FRAME: server_error().body,
    ChatFault.ERROR_TEXT: {"error": "The server had an error (simulated)."},
    ChatFault.ERROR_DETAIL: {"detail": [{"loc": ["body"], "msg": "The server had an error (simulated).", "type": "x"}]},
    ChatFault.ERROR_MESSAGE: {"object": "error", "message": "The server had an error (simulated).", "code": 50001},
    ChatFault.ERROR_CODE: {"error": {"message": "The server is busy (simulated).", "code": 429}},
    ChatFault.ERROR_CHOICE: {
        "choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "Simulated"}}]
    },
}
_ACCIDENTS = (ChatFault.CUT, ChatFault.STALL, ChatFault.GARBAGE, *_ERRORS)


async def stream_frames(request: ChatRequest, reply: Reply, head: Json, pace: Pace) -> AsyncGenerator[bytes, None]:
    """Stream a reply as server-sent events.

    Raises:
        ConnectionCutError: A fault cuts the connection.
    """
    await asyncio.sleep(pace.before_first)
    for index in range(request.choices):
        usage = early_usage(request, reply, is_first=True, is_last=False)
        yield _frame(chunk_object(request, head, index, _role(reply), usage=usage))
    contents = [(index, delta) for index in range(request.choices) for delta in deltas_of(request, reply)]
    accidents = _accidents(request.faults, len(contents))
    for position in range(len(contents) + 1):
        if position in accidents:
            yield await _apply(accidents[position])
            if accidents[position] in _ERRORS:
                return
        if position < len(contents):
            await asyncio.sleep(pace.between)
            usage = early_usage(request, reply, is_first=False, is_last=position == len(contents) - 1)
            yield _frame(chunk_object(request, head, *contents[position], usage=usage))
    for frame in _ending(request, reply, head):
        yield frame


def _accidents(faults: ChatFaults, chunks: int) -> Mapping[int, ChatFault]:
    """What happens after how many chunks; an answer that is shorter than that meets it at its end."""
    return {min(int(faults[fault] or 0), chunks): fault for fault in _ACCIDENTS if fault in faults}


async def _apply(fault: ChatFault) -> bytes:
    if fault is ChatFault.CUT:
        raise ConnectionCutError
    if fault is ChatFault.STALL:
        await asyncio.Event().wait()
    return _GARBAGE if fault is ChatFault.GARBAGE else _frame(_ERRORS[fault])


def _ending(request: ChatRequest, reply: Reply, head: Json) -> list[bytes]:
    if ChatFault.NO_FINISH in request.faults:
        return []
    last = [chunk_object(request, head, index, {}, finish_of(request, reply)) for index in range(request.choices)]
    if ChatFault.CHOICE_USAGE in request.faults:
        last[-1]["choices"][0]["usage"] = usage_of(request, reply)
        return [*map(_frame, last), DONE]
    frames = [*map(_frame, last)]
    if ChatFault.WHOLE_AT_END in request.faults:
        return [_frame(completion_object(request, reply, head)), DONE]
    if request.has_usage and ChatFault.NO_USAGE not in request.faults:
        frames.append(_frame(usage_chunk(request, reply, head)))
    if ChatFault.NO_DONE not in request.faults:
        frames.append(DONE)
    return frames


def _role(reply: Reply) -> Json:
    return {"role": "assistant", "content": None if reply.calls else "", "refusal": None}


def _frame(document: Json | list[Json]) -> bytes:
    return b"data: " + dump(document) + b"\n\n"
