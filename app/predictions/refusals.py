import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.predictions.parsing import UnreadableResponseError, as_text, parse_json
from app.predictions.protocol import (
    PredictionDeniedError,
    PredictionError,
    PredictionMissingError,
    PredictionRejectedError,
    PredictionThrottledError,
    PredictionUnavailableError,
    PredictionUncertainError,
)

# What the metrics call the failures of calls.
_RESULTS: Mapping[type[Exception], str] = {
    PredictionRejectedError: "rejected",
    PredictionDeniedError: "denied",
    PredictionThrottledError: "throttled",
    PredictionUnavailableError: "unavailable",
    PredictionUncertainError: "uncertain",
    PredictionMissingError: "missing",
}
_DENIED = frozenset({401, 402, 403})
_DEFAULT_WAIT_SECONDS = 5.0
_MAX_WAIT_SECONDS = 3600.0
_MAX_TEXT = 500
# "Your rate limit resets in ~30s."
_WAIT_IN_TEXT = re.compile(r"~\s*(\d{1,6}(?:\.\d+)?)\s*s\b")


def refusal(status: int, retry_after: str | None, body: bytes, *, is_create: bool) -> PredictionError:
    """The error for a response with a status other than 2xx.

    Args:
        status: its HTTP status.
        retry_after: its `Retry-After` header.
        body: its body: problem JSON, other JSON, HTML.
        is_create: whether the request was to start a prediction; otherwise it read or cancelled one.
    """
    problem = _problem(body)
    text = _text(status, problem)
    if status == 429:
        return PredictionThrottledError(text, wait_seconds=_wait_seconds(retry_after, problem))
    if status in _DENIED:
        return PredictionDeniedError(text)
    if status == 404:
        return PredictionMissingError(text)
    if not is_create:
        return PredictionUnavailableError(text)
    # 408 may come from a proxy, while the vendor still works on the request.
    if 400 <= status < 500 and status != 408:
        return PredictionRejectedError(text)
    return PredictionUncertainError(text)


def result_of(error: Exception) -> str:
    """What the metrics call the failure of a call."""
    return _RESULTS.get(type(error), "failed")


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        value = parse_json(body)
    except UnreadableResponseError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(status: int, problem: Mapping[str, Any]) -> str:
    title, detail = _part(problem.get("title")), _part(problem.get("detail"))
    parts = [title, detail] if status == 422 else [detail or title]
    text = ": ".join(part for part in parts if part)
    return text[:_MAX_TEXT] or f"The model provider answered with status {status}"


def _part(value: Any) -> str:
    return "" if value is None else as_text(value)


def _wait_seconds(retry_after: str | None, problem: Mapping[str, Any]) -> float:
    """The first usable figure: of the header, of the body or in its text."""
    for stated in _stated_waits(retry_after, problem):
        try:
            seconds = float(stated)
        except (TypeError, ValueError, OverflowError):
            continue
        if math.isfinite(seconds) and seconds > 0:
            return min(seconds, _MAX_WAIT_SECONDS)
    return _DEFAULT_WAIT_SECONDS


def _stated_waits(retry_after: str | None, problem: Mapping[str, Any]) -> Iterator[Any]:
    yield retry_after
    yield problem.get("retry_after")
    match = _WAIT_IN_TEXT.search(_part(problem.get("detail")))
    yield match and match[1]
