"""A turn as an OpenAI `response`, with every field that clients may rely on, and those that this server adds."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.chat.openai.completion import generated
from app.chat.responses.client_tools import shown_tool
from app.chat.responses.output import response_id_of, status_of
from app.chat.responses.request import ResponseRequest
from app.chat.turns.result import TurnIdentity, TurnResult
from app.chat_models.protocol import JsonObject, Usage
from app.core.errors import AppError

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_RATE_LIMITED = 429


def queued_resource(asked: ResponseRequest, turn: TurnIdentity) -> JsonObject:
    """The response of a turn that is to run in the background."""
    return _resource(asked, turn, status="queued")


def begun_resource(asked: ResponseRequest, turn: TurnIdentity) -> JsonObject:
    """The response of a turn that runs."""
    return _resource(asked, turn, status="in_progress")


def ended_resource(asked: ResponseRequest, result: TurnResult, output: Sequence[JsonObject]) -> JsonObject:
    """The response of a turn that has an answer, with these items."""
    status = status_of(result.finish_reason)
    is_complete = status == "completed"
    ended = {
        "status": status,
        "completed_at": (result.ended_at or _seconds(result.turn)) if is_complete else None,
        "incomplete_details": None if is_complete else {"reason": _INCOMPLETE[result.finish_reason]},
        "output": list(output),
        "usage": usage_of(result.usage),
    }
    return {**_resource(asked, result.turn, **ended), **generated(result.contents)}


def failed_resource(asked: ResponseRequest, turn: TurnIdentity, error: AppError) -> JsonObject:
    """The response of a turn that has failed."""
    return as_failed(begun_resource(asked, turn), error)


def as_failed(response: Mapping[str, Any], error: AppError) -> JsonObject:
    """A response that has failed instead of ending otherwise."""
    # Only OpenAI's codes: some clients know no others here. The error's own is in the event before.
    code = "rate_limit_exceeded" if error.status == _RATE_LIMITED else "server_error"
    return {**response, "status": "failed", "error": {"code": code, "message": error.text}}


def usage_of(usage: Usage) -> JsonObject:
    """The tokens of all model calls of the turn, and what they consist of as far as the upstreams have said it."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, **usage.details.get("prompt_tokens_details", {})},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0, **usage.details.get("completion_tokens_details", {})},
        "total_tokens": usage.total_tokens,
    }


def _resource(asked: ResponseRequest, turn: TurnIdentity, **known: Any) -> JsonObject:
    """The response of the turn. Of what is not known yet it has the values that it begins with."""
    state = {"status": "in_progress", "completed_at": None, "error": None, "incomplete_details": None, **known}
    return {
        "id": response_id_of(turn.id),
        "object": "response",
        "created_at": _seconds(turn),
        "completed_at": state["completed_at"],
        "status": state["status"],
        "background": asked.background is True,
        "error": state["error"],
        "incomplete_details": state["incomplete_details"],
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "max_tool_calls": asked.max_tool_calls,
        "model": turn.model,
        "output": state.get("output", []),
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": asked.previous_response_id,
        **_options(asked),
        "usage": state.get("usage"),
        "conversation": {"id": asked.conversation_id} if asked.conversation_id else None,
        "session_id": turn.session_name or None,
    }


def _options(asked: ResponseRequest) -> JsonObject:
    """The request's options as the response repeats them, those that it does not have with their defaults."""
    text, reasoning = asked.text, asked.reasoning
    summary = (reasoning.summary or reasoning.generate_summary) if reasoning else None
    return {
        "reasoning": {"effort": reasoning.effort if reasoning else None, "summary": summary},
        "store": asked.is_kept,
        "text": {
            "format": _shown_format(text.format if text else None),
            **({"verbosity": text.verbosity} if text and text.verbosity else {}),
        },
        "tool_choice": "auto" if asked.tool_choice is None else asked.tool_choice,
        "tools": [shown_tool(tool) for tool in asked.tools or ()],
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "top_p": 1.0 if asked.top_p is None else asked.top_p,
        "top_logprobs": asked.top_logprobs or 0,
        "presence_penalty": asked.presence_penalty or 0.0,
        "frequency_penalty": asked.frequency_penalty or 0.0,
        "truncation": asked.truncation or "disabled",
        "service_tier": asked.service_tier or "default",
        "metadata": asked.metadata or {},
        "user": asked.user,
        "safety_identifier": asked.safety_identifier,
        "prompt_cache_key": asked.prompt_cache_key,
    }


def _shown_format(wanted: JsonObject | None) -> JsonObject:
    if wanted is None or wanted["type"] != "json_schema":
        return {"type": wanted["type"] if wanted else "text"}
    return {
        "description": None,
        "strict": False,
        **{name: value for name, value in wanted.items() if value is not None},
    }


def _seconds(turn: TurnIdentity) -> int:
    return int(turn.created_at.timestamp())
