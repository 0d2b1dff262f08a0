"""Chat completions as they go over the wire, whole or in chunks."""

import re
from typing import Any

import orjson

from simulator.faults.chat import ChatFault
from simulator.openai.additions import addition_deltas, message_additions
from simulator.openai.assistant import CHARACTERS_PER_TOKEN, Reply
from simulator.openai.calls import call_pieces, whole_call
from simulator.openai.conversation import character_count
from simulator.openai.requests import ChatRequest
from simulator.wire import Json

_HUGE = 10**12
_FINISH_WORDS = {
    ChatFault.FINISH_END_TURN: "end_turn",
    ChatFault.FINISH_MODEL_LENGTH: "model_length",
    ChatFault.FINISH_MAX_TOKENS: "MAX_TOKENS",
    ChatFault.FINISH_SAFETY: "SAFETY",
    ChatFault.FINISH_MALFORMED: "MALFORMED_FUNCTION_CALL",
    ChatFault.FINISH_ERROR: "error",
}


def completion_object(request: ChatRequest, reply: Reply, head: Json) -> Json:
    """A whole completion; ``head`` is what `head_of` made."""
    choices = [
        {
            "index": index,
            "message": _message(request, reply),
            "logprobs": None,
            "finish_reason": finish_of(request, reply),
        }
        for index in range(request.choices)
    ]
    return {**head, "object": "chat.completion", "choices": choices, "usage": usage_of(request, reply)}


def finish_of(request: ChatRequest, reply: Reply) -> str | None:
    """Why the reply ends, in the words of the request's faults."""
    if ChatFault.FINISH_NULL in request.faults:
        return None
    return next((word for fault, word in _FINISH_WORDS.items() if fault in request.faults), reply.finish_reason)


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
    pieces = [piece for index, call in enumerate(reply.calls) for piece in call_pieces(request, index, call)]
    additions = addition_deltas(request) if reply.calls else []
    return additions + [{"content": word} for word in _words(reply)] + [{"tool_calls": [piece]} for piece in pieces]


def size_of(request: ChatRequest, reply: Reply, chunks: int | None = None) -> int:
    """UTF-8 bytes of text, names and arguments in an answer, or in its first so many chunks of content."""
    deltas = (deltas_of(request, reply) * request.choices)[:chunks]
    return sum(len(text.encode()) for delta in deltas for text in _texts(delta))


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
    if ChatFault.PROMPT_USAGE in request.faults:
        return {"prompt_tokens": usage["prompt_tokens"]}
    if ChatFault.FLOAT_USAGE in request.faults:
        return {name: float(count) for name, count in usage.items()}
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


def _message(request: ChatRequest, reply: Reply) -> Json:
    message: Json = {"role": "assistant", "content": reply.content, "refusal": None}
    if reply.calls:
        message |= message_additions(request)
        message["tool_calls"] = [whole_call(request, call) for call in reply.calls]
    return message


def _words(reply: Reply) -> list[str]:
    if reply.content is None:
        return []
    return re.findall(r"\s*\S+\s*", reply.content) or [reply.content]


def _texts(delta: Json) -> list[str]:
    functions = [piece["function"] for piece in delta.get("tool_calls", [])]
    names_and_arguments = [str(text) for function in functions for text in function.values()]
    return [str(delta.get("content") or ""), *names_and_arguments]


def _length(reply: Reply) -> int:
    return len(reply.content or "") + sum(len(call.name) + len(call.arguments) for call in reply.calls)


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)
