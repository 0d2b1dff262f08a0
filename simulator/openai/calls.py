"""Tool calls as they go over the wire, whole or in the pieces of a stream."""

from typing import Any

import orjson

from simulator.faults.chat import ChatFault
from simulator.openai.additions import call_additions
from simulator.openai.requests import ChatRequest
from simulator.openai.tools import ToolCall
from simulator.wire import Json

_FRAGMENTS = 4  # pieces that the arguments of a streamed tool call come in
# With these a call comes in one piece.
_WHOLE = (ChatFault.ARGUMENTS_OBJECT, ChatFault.TOOL_IDS_MISSING)


def whole_call(request: ChatRequest, call: ToolCall) -> Json:
    """The call in one piece."""
    is_object = ChatFault.ARGUMENTS_OBJECT in request.faults
    return _call(request, call, orjson.loads(call.arguments) if is_object else call.arguments)


def call_pieces(request: ChatRequest, index: int, call: ToolCall) -> list[Json]:
    """The call as the deltas of a stream have it."""
    faults = request.faults
    if any(fault in faults for fault in _WHOLE):
        pieces = [whole_call(request, call)]
    else:
        pieces = [*_opening(request, call), *({"function": {"arguments": text}} for text in _fragments(call))]
    if ChatFault.TOOL_NAMES_REPEATED in faults:
        pieces = [_named(piece, call) for piece in [*pieces, {"function": {"arguments": call.arguments}}]]
    if ChatFault.TOOL_INDEX_MISSING in faults:
        return pieces
    return [{"index": 0 if ChatFault.TOOL_IDS_MISSING in faults else index, **piece} for piece in pieces]


def _opening(request: ChatRequest, call: ToolCall) -> list[Json]:
    """The pieces before the arguments."""
    announced = "{}" if ChatFault.TOOL_ARGUMENTS_ANNOUNCED in request.faults else ""
    opening = _call(request, call, announced)
    if ChatFault.TOOL_NAMES_CUT not in request.faults:
        return [opening]
    middle = len(call.name) // 2
    opening["function"]["name"] = call.name[:middle]
    return [opening, {"function": {"name": call.name[middle:]}}]


def _fragments(call: ToolCall) -> list[str]:
    size = max(1, -(-len(call.arguments) // _FRAGMENTS))
    return [call.arguments[at : at + size] for at in range(0, len(call.arguments), size)]


def _named(piece: Json, call: ToolCall) -> Json:
    return {**piece, "function": {**piece["function"], "name": call.name}}


def _call(request: ChatRequest, call: ToolCall, arguments: Any) -> Json:
    call_id = "" if ChatFault.TOOL_IDS_MISSING in request.faults else call.id
    function = {"name": call.name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function, **call_additions(request, call)}
