"""What a turn looks like on the wire: OpenAI's objects, with what this server adds."""

from collections.abc import Sequence
from typing import Any

from app.chat.turns.turn import OpenTurn, TurnResult
from app.chat_models.protocol import JsonObject, Usage
from app.content.service import ContentWithOutputs
from app.content.urls import FileUrls


def completion(turn: OpenTurn, result: TurnResult, urls: FileUrls) -> JsonObject:
    """The `chat.completion` of a turn."""
    choice = {
        "index": 0,
        "message": result.answer.message,
        "logprobs": result.answer.logprobs,
        "finish_reason": result.answer.finish_reason,
    }
    return {
        **_envelope(turn, "chat.completion"),
        "choices": [choice],
        "usage": usage_of(result.usage),
        "session_id": turn.session.public_id,
        **_agent(turn),
        **_generated(result.contents, urls),
    }


def replayed_chunks(completion: JsonObject, *, wants_usage: bool) -> list[JsonObject]:
    """A stored completion as a stream of one delta."""
    (choice,) = completion["choices"]
    message = choice["message"]
    calls = [{**call, "index": index} for index, call in enumerate(message.get("tool_calls", []))]
    delta = {**message, "tool_calls": calls} if calls else message
    envelope = {name: completion[name] for name in ("id", "created", "model", "session_id")}
    envelope |= {"object": "chat.completion.chunk"} | ({"usage": None} if wants_usage else {})
    extra = {name: completion[name] for name in ("generated_content",) if name in completion}
    envelope |= {name: completion[name] for name in ("agent_id",) if name in completion}
    said = {"index": 0, "delta": delta, "logprobs": choice["logprobs"], "finish_reason": None}
    ended = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}
    chunks = [{**envelope, "choices": [said]}, {**envelope, **extra, "choices": [ended]}]
    return chunks + ([{**envelope, "choices": [], "usage": completion["usage"]}] if wants_usage else [])


def first_chunk(turn: OpenTurn, *, wants_usage: bool) -> JsonObject:
    """The chunk that a stream begins with: the role, and the session."""
    chunk = delta_chunk(turn, {"role": "assistant", "content": ""}, wants_usage=wants_usage)
    return {**chunk, "session_id": turn.session.public_id, **_agent(turn)}


def delta_chunk(
    turn: OpenTurn, delta: JsonObject, logprobs: JsonObject | None = None, *, wants_usage: bool
) -> JsonObject:
    """A chunk with a piece of the answer."""
    return _chunk(turn, {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": None}, wants_usage)


def finish_chunk(turn: OpenTurn, result: TurnResult, urls: FileUrls, *, wants_usage: bool) -> JsonObject:
    """The chunk that says why the answer ended, and what was made."""
    choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": result.answer.finish_reason}
    return {**_chunk(turn, choice, wants_usage), **_generated(result.contents, urls)}


def usage_chunk(turn: OpenTurn, result: TurnResult) -> JsonObject:
    """The chunk that a client asks for by `include_usage`."""
    return {**_envelope(turn, "chat.completion.chunk"), "choices": [], "usage": usage_of(result.usage)}


def usage_of(usage: Usage) -> JsonObject:
    """Tokens over all model calls of the turn."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _chunk(turn: OpenTurn, choice: JsonObject, wants_usage: bool) -> JsonObject:
    chunk = {**_envelope(turn, "chat.completion.chunk"), "choices": [choice]}
    return {**chunk, "usage": None} if wants_usage else chunk


def _envelope(turn: OpenTurn, kind: str) -> JsonObject:
    return {
        "id": turn.id.replace("turn-", "cmpl-", 1),
        "object": kind,
        "created": int(turn.created_at.timestamp()),
        "model": turn.target.model_of(turn.agent),
    }


def _agent(turn: OpenTurn) -> JsonObject:
    return {"agent_id": turn.agent.id} if turn.target.agent_id else {}


def _generated(contents: Sequence[ContentWithOutputs], urls: FileUrls) -> dict[str, Any]:
    if not contents:
        return {}
    items = [
        {
            "id": str(item.content.id),
            "status": item.content.status,
            "content_type": item.content.content_type,
            "storage_url": urls.of(item.content, item.outputs[0]) if item.outputs else None,
        }
        for item in contents
    ]
    return {"generated_content": items}
