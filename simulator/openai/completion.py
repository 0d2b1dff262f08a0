"""Chat completions as they go over the wire, whole or in chunks."""

import re
from typing import Any

import orjson

from simulator.faults.chat import ChatFault
from simulator.openai.assistant import CHARACTERS_PER_TOKEN, Reply
from simulator.openai.conversation import character_count
from simulator.openai.requests import ChatRequest
from simulator.openai.tools import ToolCall
from simulator.wire import Json

_HUGE = 10**12
_FRAGMENTS = 4  # pieces that the arguments of a streamed tool call come in


def completion_object(request: ChatRequest, reply: Reply, head: Json) -> Json:
    """A whole completion; ``head`` is what `head_of` made."""
    choices = [
        {"index": index, "message": _message(reply), "logprobs": None, "finish_reason": reply.finish_reason}
        for index in range(request.choices)
    ]
    return {**head, "object": "chat.completion", "choices": choices, "usage": usage_of(request, reply)}


def chunk_object(
    request: ChatRequest, head: Json, index: int, delta: Json, finish_reason: str | None = None, usage: Any = None
) -> Json:
    """One chunk of a stream. ``usage`` is what it reports, which is null in the chunks of a sensible model."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    report = {"usage": usage} if request.has_usage else {}
    return {**head, "object": "chat.completion.chunk", "choices": [choice], **report}


def usage_chunk(request: ChatRequest, reply: Reply, head: Json) -> Json:
    """The chunk that ends a stream whose client asked for usage."""
    usage = usage_of(request, reply)
    if ChatFault.LATE_ZERO_USAGE in request.faults:
        usage = dict.fromkeys(true_usage(request, reply), 0)
    return {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}


def early_usage(request: ChatRequest, reply: Reply, *, is_first: bool, is_last: bool) -> Any:
    """What a chunk before the end of a stream reports because of a fault; usually nothing."""
    if is_first and ChatFault.EARLY_USAGE in request.faults:
        prompt = prompt_tokens(request)
        return {"prompt_tokens": prompt, "completion_tokens": 1, "total_tokens": prompt + 1}
    return true_usage(request, reply) if is_last and ChatFault.LATE_ZERO_USAGE in request.faults else None


def head_of(request: ChatRequest, completion_id: str, created: int) -> Json:
    """The members that a completion and all of its chunks share."""
    fingerprint = "fp_simulated" if request.seed is None else f"fp_simulated_{request.seed}"
    return {"id": completion_id, "created": created, "model": request.model, "system_fingerprint": fingerprint}


def deltas_of(request: ChatRequest, reply: Reply) -> list[Json]:
    """What a stream says after the role: words one by one, then tool calls in pieces."""
    pieces = [piece for index, call in enumerate(reply.calls) for piece in _call_pieces(index, call)]
    if ChatFault.TOOL_INDEX_MISSING in request.faults:
        for piece in pieces:
            del piece["index"]
    return [{"content": word} for word in _words(reply)] + [{"tool_calls": [piece]} for piece in pieces]


def true_usage(request: ChatRequest, reply: Reply) -> dict[str, int]:
    """Token counts by the rule of four characters a token."""
    prompt = prompt_tokens(request)
    completion = _tokens(_length(reply)) * request.choices + _hidden(request)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def prompt_tokens(request: ChatRequest) -> int:
    """The tokens of the conversation, by the same rule."""
    return _tokens(character_count(request.messages))


def _hidden(request: ChatRequest) -> int:
    return int(request.faults.get(ChatFault.HIDDEN_REASONING) or 0)


def usage_of(request: ChatRequest, reply: Reply) -> Any:
    """The token counts, or what a fault makes of them."""
    if ChatFault.NO_USAGE in request.faults:
        return None
    usage = true_usage(request, reply)
    broken = _broken_count(request)
    if broken is not None:
        return dict.fromkeys(usage, broken)
    return {
        **usage,
        "completion_tokens": usage["completion_tokens"] - _hidden(request),
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": _hidden(request), "audio_tokens": 0},
    }


def _broken_count(request: ChatRequest) -> Any:
    counts = {
        ChatFault.NEGATIVE_USAGE: -100,
        ChatFault.HUGE_USAGE: _HUGE,
        ChatFault.NAN_USAGE: orjson.Fragment(b"NaN"),
    }
    return next((count for fault, count in counts.items() if fault in request.faults), None)


def _message(reply: Reply) -> Json:
    message: Json = {"role": "assistant", "content": reply.content, "refusal": None}
    if reply.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in reply.calls
        ]
    return message


def _words(reply: Reply) -> list[str]:
    if reply.content is None:
        return []
    return re.findall(r"\s*\S+\s*", reply.content) or [reply.content]


def _call_pieces(index: int, call: ToolCall) -> list[Json]:
    opening = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    size = max(1, -(-len(call.arguments) // _FRAGMENTS))
    fragments = [call.arguments[at : at + size] for at in range(0, len(call.arguments), size)]
    return [
        {"index": index, **opening},
        *({"index": index, "function": {"arguments": fragment}} for fragment in fragments),
    ]


def _length(reply: Reply) -> int:
    return len(reply.content or "") + sum(len(call.name) + len(call.arguments) for call in reply.calls)


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)
