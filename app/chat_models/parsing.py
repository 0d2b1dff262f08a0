import json
from collections.abc import Collection
from typing import Any

import orjson

from app.chat_models.broken_text import BrokenTexts, repaired
from app.chat_models.finish_reasons import finish_reason_of, is_stated
from app.chat_models.protocol import JsonObject
from app.core.errors import ProviderError
from app.core.json import MOST_LEVELS, has_too_many_levels

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CODES_OF_SUCCESS = (0, "0", 200, "200")
# What an error is called if it is not in `error`. No part of an answer has any of them, and no choices.
_NAMES_OF_ERRORS = ("message", "detail", "errors", "error_msg", "msg")


class UpstreamReportedError(Exception):
    """The upstream responded with a status of success, and with an error. `body` is the JSON that contains it.

    `has_begun` says that a part of an answer came before it.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__("the upstream reported an error")
        self.body = body
        self.has_begun = False


def parse_completion(body: bytes) -> JsonObject:
    """Parse a whole `chat.completion`, and put it into the form of a chunk: its message is the delta.

    Raises:
        UpstreamReportedError: it is an error in spite of the status.
        ProviderError: it is not JSON, or has no message.
    """
    completion, choice, is_broken = _object(body.removeprefix(_BYTE_ORDER_MARK))
    if choice is None or not isinstance(choice.get("message"), dict):
        raise ProviderError("The model provider sent an answer without a message")
    chunk: JsonObject = {**completion, "choices": [_as_chunk(choice)]}
    return repaired(chunk) if is_broken else chunk


class ChunkParser:
    """Parses the chunks of one stream."""

    def __init__(self) -> None:
        self._broken = BrokenTexts()
        # The fields of deltas that have said something.
        self._said: set[str] = set()

    @property
    def is_in_text(self) -> bool:
        """Whether the last chunk has ended within a character."""
        return self._broken.are_begun

    def parse(self, data: bytes) -> JsonObject:
        """Parse the `chat.completion.chunk` of one event. Some servers send a whole completion as one.

        Raises:
            UpstreamReportedError: it is an error.
            ProviderError: it is not JSON.
        """
        chunk, choice, is_broken = _object(data)
        if choice is not None and "delta" not in choice and isinstance(choice.get("message"), dict):
            # After deltas, as MiniMax sends it, the message says again what they have said.
            chunk = {**chunk, "choices": [_as_chunk(choice, without=self._said)]}
        elif choice is not None and isinstance(choice.get("delta"), dict):
            self._said.update(name for name, value in choice["delta"].items() if value and name != "role")
        return self._broken.join(chunk) if is_broken or self._broken.are_begun else chunk


def is_finished_by(chunk: JsonObject) -> bool:
    """Whether the chunk contains the `finish_reason` that ends the answer."""
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and is_stated(choice.get("finish_reason")):
            return True
    return False


def check_finish(chunk: JsonObject) -> None:
    """Check that the chunk does not end its answer with an error.

    Raises:
        ProviderError: it does.
    """
    choice = _first_choice(chunk)
    if choice is not None and is_stated(choice.get("finish_reason")):
        finish_reason_of(choice["finish_reason"])


def says_something(chunk: JsonObject) -> bool:
    """Whether the chunk has a part of an answer: a text, a refusal or a call."""
    choice = _first_choice(chunk)
    delta = choice.get("delta") if choice else None
    return isinstance(delta, dict) and any(delta.get(name) for name in ("content", "refusal", "tool_calls"))


def _as_chunk(choice: JsonObject, without: Collection[str] = ()) -> JsonObject:
    """The choice of a completion as that of a chunk. A completion is whole, with or without a reason for its end.

    Its delta is the message without some of its fields.
    """
    message, reason = choice["message"], choice.get("finish_reason")
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        numbered = [{**call, "index": at} if isinstance(call, dict) else call for at, call in enumerate(calls)]
        message = {**message, "tool_calls": numbered}
    others = {name: value for name, value in choice.items() if name != "message"}
    delta = {name: value for name, value in message.items() if name not in without}
    return {**others, "delta": delta, "finish_reason": reason if is_stated(reason) else "stop"}


def _first_choice(document: JsonObject) -> JsonObject | None:
    choices = document.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else None


def _object(text: bytes) -> tuple[JsonObject, JsonObject | None, bool]:
    """The object that the text is, its first choice if it has any, and whether its texts may be broken."""
    value, is_broken = _json(text)
    document = value[0] if isinstance(value, list) and value else value
    choice = _first_choice(document) if isinstance(document, dict) else None
    if isinstance(document, dict):
        _check_for_error(document, choice, text)
    if not isinstance(value, dict):
        raise ProviderError("The model provider sent an answer that is not valid JSON")
    # Few answers have so many brackets. One with too many levels could neither be sent to the client nor stored.
    is_long = len(text) > MOST_LEVELS
    if is_long and text.count(b"[") + text.count(b"{") > MOST_LEVELS and has_too_many_levels(repaired(value)):
        raise ProviderError("The model provider sent an answer that is nested too deeply")
    return value, choice, is_broken


def _check_for_error(document: JsonObject, choice: JsonObject | None, text: bytes) -> None:
    """Raise UpstreamReportedError if the document is an error, in any of the forms in which servers send one."""
    is_bare = choice is None and not document.get("choices") and any(map(document.get, _NAMES_OF_ERRORS))
    if _is_error(document.get("error")) or (is_bare and not _is_success(document.get("code"))):
        raise UpstreamReportedError(text)
    # OpenRouter has errors in the choice, Groq why it has stopped a stream early in `x_groq`.
    for holder in (choice, document.get("x_groq")):
        if isinstance(holder, dict) and _is_error(holder.get("error")):
            raise UpstreamReportedError(orjson.dumps({"error": repaired(holder["error"])}))


def _is_error(stated: Any) -> bool:
    """Whether the value of `error` says anything. Some servers write it in every chunk, with nothing in it."""
    return any(stated.values()) if isinstance(stated, dict) else bool(stated)


def _is_success(code: Any) -> bool:
    """Whether a bare object with a message says that all is well, as iFlytek's and others do in every chunk."""
    return not isinstance(code, bool) and code in _CODES_OF_SUCCESS


def _json(text: bytes) -> tuple[Any, bool]:
    try:
        return orjson.loads(text), False
    except orjson.JSONDecodeError:
        return _json_of_others(text)


def _json_of_others(text: bytes) -> tuple[Any, bool]:
    """Parse what some servers write although it is not JSON: NaN and Infinity, as null, and broken texts."""
    try:
        value = json.loads(text.decode("utf-8", "surrogateescape"), parse_constant=lambda _name: None, strict=False)
        # orjson refuses what could not be sent to our own client.
        orjson.dumps(repaired(value))
    except (ValueError, TypeError, RecursionError):
        return None, False
    return value, True
