import json
from typing import Any

import orjson

from app.chat_models.protocol import JsonObject
from app.core.errors import ProviderError
from app.core.json import MOST_LEVELS, has_too_many_levels


class UpstreamReportedError(Exception):
    """The upstream responded with status 200 and an error. `body` is the JSON that contains it."""

    def __init__(self, body: bytes) -> None:
        super().__init__("the upstream reported an error")
        self.body = body


def parse_completion(body: bytes) -> JsonObject:
    """Parse the `chat.completion` of a response with status 200.

    Raises:
        UpstreamReportedError: it is an error in spite of the status.
        ProviderError: it is not JSON, or has no message.
    """
    completion = _object(body)
    choices = completion.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict) or not isinstance(first.get("message"), dict):
        raise ProviderError("The model provider sent an answer without a message")
    return completion


def parse_chunk(data: bytes) -> JsonObject:
    """Parse the `chat.completion.chunk` of one event.

    Raises:
        UpstreamReportedError: it is an error.
        ProviderError: it is not JSON.
    """
    return _object(data)


def is_finished_by(chunk: JsonObject) -> bool:
    """Whether the chunk contains the `finish_reason` that ends the answer."""
    choices = chunk.get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and choice.get("finish_reason") for choice in choices
    )


def _object(text: bytes) -> JsonObject:
    value = _json(text)
    if not isinstance(value, dict):
        raise ProviderError("The model provider sent an answer that is not valid JSON")
    # Few answers have so many brackets. One with too many levels could neither be sent to the client nor stored.
    if text.count(b"[") + text.count(b"{") > MOST_LEVELS and has_too_many_levels(value):
        raise ProviderError("The model provider sent an answer that is nested too deeply")
    if value.get("error"):
        raise UpstreamReportedError(text)
    return value


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _json_with_nan(text)


def _json_with_nan(text: bytes) -> Any:
    """Parse NaN and Infinity, which some servers write although they are not JSON, as null."""
    try:
        # orjson checks the result: it refuses what could not be sent to our own client.
        return orjson.loads(orjson.dumps(json.loads(text)))
    except (ValueError, TypeError, RecursionError):
        return None
