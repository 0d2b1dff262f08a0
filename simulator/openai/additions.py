"""What some vendors add to messages and calls, and want back."""

from typing import Any

from simulator.faults.chat import ChatFault
from simulator.openai.errors import missing_signature, missing_thoughts, unsupported_property
from simulator.openai.requests import ChatRequest
from simulator.openai.tools import ToolCall
from simulator.wire import Json

_THOUGHTS = ("The user wants ", "something made.")
_ENCRYPTED: Json = {"type": "reasoning.encrypted", "data": "ZW5j", "id": "rs_1", "format": "simulated-v1", "index": 1}
_KNOWN = frozenset({"role", "content", "refusal", "name", "tool_calls", "tool_call_id", "function_call", "audio"})


def call_additions(request: ChatRequest, call: ToolCall) -> Json:
    """What a call has beside OpenAI's fields."""
    return _signed(call.id) if ChatFault.THOUGHT_SIGNATURES in request.faults else {}


def message_additions(request: ChatRequest) -> Json:
    """What a message with calls has beside OpenAI's fields."""
    additions: Json = {}
    text = "".join(_THOUGHTS)
    if ChatFault.REASONING_DETAILS in request.faults:
        additions["reasoning_details"] = [{**_detail(text), "signature": "signed"}, _ENCRYPTED]
    if ChatFault.THINKING_BLOCKS in request.faults:
        additions["thinking_blocks"] = [{"type": "thinking", "thinking": text, "signature": "signed"}]
    return additions


def addition_deltas(request: ChatRequest) -> list[Json]:
    """The same as the deltas of a stream."""
    deltas: list[Json] = []
    if ChatFault.REASONING_DETAILS in request.faults:
        pieces = [*map(_detail, _THOUGHTS), {**_detail(""), "signature": "signed"}, _ENCRYPTED]
        deltas += [{"reasoning_details": [piece]} for piece in pieces]
    if ChatFault.THINKING_BLOCKS in request.faults:
        blocks: list[Json] = [{"type": "thinking", "thinking": piece} for piece in _THOUGHTS]
        blocks.append({"type": "thinking", "thinking": "", "signature": "signed"})
        deltas += [{"thinking_blocks": [block]} for block in blocks]
    return deltas


def check_additions(chat: ChatRequest) -> None:
    """Refuse messages whose additions have not come back, or are not known.

    Raises:
        ApiError: 400.
    """
    for position, message in enumerate(chat.messages):
        if message.get("role") != "assistant":
            continue
        unknown = sorted(message.keys() - _KNOWN)
        if ChatFault.NO_ADDITIONS in chat.faults and unknown:
            raise unsupported_property(position, unknown[0])
        _check_calls(chat, message, message.get("tool_calls") or [])


def _check_calls(chat: ChatRequest, message: Json, calls: list[Any]) -> None:
    for call in calls:
        if ChatFault.THOUGHT_SIGNATURES in chat.faults and call | _signed(call["id"]) != call:
            raise missing_signature()
    wanted = message_additions(chat)
    if calls and any(message.get(name) != value for name, value in wanted.items()):
        raise missing_thoughts()


def _detail(text: str) -> Json:
    return {"type": "reasoning.text", "text": text, "format": "simulated-v1", "index": 0}


def _signed(call_id: str) -> Json:
    return {"extra_content": {"google": {"thought_signature": f"signature of {call_id}"}}}
