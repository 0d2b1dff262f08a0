import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from app.predictions.protocol import Prediction

# The vendor ends a run after half an hour. A figure of days is an error, and must not be charged for.
MAX_PREDICT_SECONDS = 7 * 24 * 3600
# `json` recurses, and gives up at a depth that depends on the version of Python. What is deeper than this is left out
# then: the rest is still too deep to be stored.
_MOST_LEVELS = 300
# A longer integer is too large for a float, and Python converts no more than 4300 digits.
_MOST_DIGITS = 309
_STRINGS_AND_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_ID = re.compile(r"[\x21-\x7e]{1,255}")


class UnreadableResponseError(Exception):
    """The vendor's response is not what its API documents."""


@dataclass(frozen=True)
class Page:
    """Some predictions, newest first. `next_query` is the query string of the next page, or None on the last one."""

    predictions: list[Prediction]
    next_query: str | None


def parse_json(body: bytes) -> Any:
    """Parse any JSON. NaN and Infinity, which are not JSON but which some models return, become null.

    Raises:
        UnreadableResponseError: it is not JSON, or has too many levels.
    """
    try:
        return _parse(body)
    except RecursionError as error:
        raise UnreadableResponseError("it has too many levels") from error


def parse_response(body: bytes) -> Any:
    """Parse any JSON as `parse_json` does. What is too deep to be parsed becomes null.

    One prediction that has too deep an output must not make a page of the list unreadable, and has to fail itself.

    Raises:
        UnreadableResponseError: it is not JSON.
    """
    try:
        return _parse(body)
    except RecursionError:
        return parse_json(_without_deepest(body))


def as_text(value: Any) -> str:
    """A text as it is, and any other JSON as JSON; nothing if it has too many levels."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return ""


def parse_prediction(value: Any) -> Prediction:
    """Parse one prediction of the vendor's API. Unknown fields are ignored, and optional ones may be missing.

    Raises:
        UnreadableResponseError: it has no id, status or time of creation.
    """
    fields = _mapping(value)
    return Prediction(
        id=_id(fields),
        status=_required_text(fields, "status"),
        model=_text(fields.get("model")) or "",
        version=_text(fields.get("version")) or "",
        input=_mapping(fields.get("input")),
        output=fields.get("output"),
        error=_error(fields.get("error")),
        predict_time=_predict_time(_mapping(fields.get("metrics")).get("predict_time")),
        webhook=_text(fields.get("webhook")),
        created_at=_moment(_required_text(fields, "created_at")),
        data_removed=fields.get("data_removed") is True,
    )


def parse_page(value: Any) -> Page:
    """Parse one page of the vendor's list.

    If one prediction cannot be parsed, the page fails: a search for a run must not end in the belief that it does not
    exist.

    Raises:
        UnreadableResponseError: it has no results, or one of them is not a prediction.
    """
    fields = _mapping(value)
    results = fields.get("results")
    if not isinstance(results, list):
        raise UnreadableResponseError("a page without results")
    # Only the query of the link is used, so that the token is never sent to another host that the link names.
    query = _query_of(_text(fields.get("next")) or "")
    return Page([parse_prediction(result) for result in results], query or None)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=lambda _name: None, parse_int=_integer)
    except ValueError as error:
        raise UnreadableResponseError("it is not JSON") from error


def _integer(digits: str) -> int | Decimal:
    # A Decimal of any length can be made, and nothing takes it for a number that can be stored or charged for.
    return int(digits) if len(digits) <= _MOST_DIGITS else Decimal(digits)


def _without_deepest(body: bytes) -> bytes:
    """The same JSON, with null instead of each object or list that would be in level `_MOST_LEVELS` + 1."""
    kept: list[bytes] = []
    level = start = 0
    for token in _STRINGS_AND_BRACKETS.finditer(body):
        if token[0] in {b"[", b"{"}:
            level += 1
            if level == _MOST_LEVELS + 1:
                kept.append(body[start : token.start()])
        elif token[0] in {b"]", b"}"}:
            if level == _MOST_LEVELS + 1:
                kept.append(b"null")
                start = token.end()
            level -= 1
    rest = body[start:] if level <= _MOST_LEVELS else b""
    return b"".join([*kept, rest])


def is_id(text: str) -> bool:
    """Whether it can be the id of a prediction. It is stored, compared and put into URLs: only a short word works."""
    return _ID.fullmatch(text) is not None


def _id(fields: Mapping[str, Any]) -> str:
    text = _required_text(fields, "id")
    if not is_id(text):
        raise UnreadableResponseError("a prediction whose id is not a word")
    return text


def _query_of(link: str) -> str:
    try:
        return urlsplit(link).query
    except ValueError as error:
        raise UnreadableResponseError("a page whose link to the next one is no URL") from error


def _required_text(fields: Mapping[str, Any], name: str) -> str:
    text = _text(fields.get(name))
    if text is None:
        raise UnreadableResponseError(f"a prediction without a text as its {name}")
    return text


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _error(value: Any) -> str | None:
    # A text, according to the documentation. A model may return other JSON, which still says more than nothing.
    return None if value is None else as_text(value)


def _moment(text: str) -> datetime:
    try:
        # The vendor sends up to nine decimals of a second. Those beyond microseconds are cut off.
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableResponseError("a prediction without a valid time of creation") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _predict_time(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # It is compared before it is converted, because the conversion of a huge integer fails.
    return Decimal(str(value)) if 0 <= value <= MAX_PREDICT_SECONDS else None
