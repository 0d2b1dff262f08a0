"""A turn as an OpenAI `chat.completion`, with the fields that this server adds."""

from collections.abc import Sequence

from app.chat.turns.result import TurnContent, TurnIdentity, TurnResult
from app.chat_models.protocol import JsonObject, Usage


def render_completion(result: TurnResult) -> JsonObject:
    """The `chat.completion` of a turn."""
    choice = {
        "index": 0,
        "message": result.message,
        "logprobs": result.logprobs,
        "finish_reason": result.finish_reason,
    }
    return {
        **envelope(result.turn, "chat.completion"),
        "choices": [choice],
        "usage": usage_of(result.usage),
        "session_id": result.turn.session_name,
        **agent_of(result.turn),
        **generated(result.contents),
    }


def envelope(turn: TurnIdentity, kind: str) -> JsonObject:
    """The fields with which every object about a turn begins; `kind` is the type of the object."""
    return {
        "id": turn.id.replace("turn-", "cmpl-", 1),
        "object": kind,
        "created": int(turn.created_at.timestamp()),
        "model": turn.model,
    }


def usage_of(usage: Usage) -> JsonObject:
    """The tokens of all model calls of the turn, and what they consist of as far as the upstreams have said it."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        **usage.details,
    }


def agent_of(turn: TurnIdentity) -> JsonObject:
    """`agent_id`, if the client has named the agent by its id."""
    return {"agent_id": turn.agent_id} if turn.agent_id else {}


def generated(contents: Sequence[TurnContent]) -> JsonObject:
    """`generated_content`, if the turn has requested any."""
    if not contents:
        return {}
    items = [
        {
            "id": content.id,
            "status": content.status,
            "content_type": content.content_type,
            "storage_url": content.url,
        }
        for content in contents
    ]
    return {"generated_content": items}
