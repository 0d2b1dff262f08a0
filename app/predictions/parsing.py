import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from app.predictions.protocol import Prediction

# The vendor ends a run after half an hour. A figure of days is an error, and must not be charged for.
MAX_PREDICT_SECONDS = 7 * 24 * 3600


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
        UnreadableResponseError: it is not JSON.
    """
    try:
        return json.loads(body, parse_constant=lambda _name: None)
    except (ValueError, RecursionError) as error:
        raise UnreadableResponseError("it is not JSON") from error


def parse_prediction(value: Any) -> Prediction:
    """Parse one prediction of the vendor's API. Unknown fields are ignored, and optional ones may be missing.

    Raises:
        UnreadableResponseError: it has no id, status or time of creation.
    """
    fields = _mapping(value)
    return Prediction(
        id=_required_text(fields, "id"),
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
    query = urlsplit(_text(fields.get("next")) or "").query
    return Page([parse_prediction(result) for result in results], query or None)


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
    return value if value is None or isinstance(value, str) else json.dumps(value)


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
