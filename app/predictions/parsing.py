import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from app.predictions.protocol import Prediction

# The vendor ends a run after half an hour; a figure of days is a fault that must not be charged for.
MAX_PREDICT_SECONDS = 7 * 24 * 3600


class UnreadableAnswerError(Exception):
    """The vendor's answer is not what its API documents."""


@dataclass(frozen=True)
class Page:
    """Some predictions, newest first; `next_query` is the query string of the page after, None on the last."""

    predictions: list[Prediction]
    next_query: str | None


def parse_json(body: bytes) -> Any:
    """Any JSON; NaN and Infinity, which models do return and JSON has not, become null.

    Raises:
        UnreadableAnswerError: it is no JSON.
    """
    try:
        return json.loads(body, parse_constant=lambda _name: None)
    except (ValueError, RecursionError) as error:
        raise UnreadableAnswerError("no JSON") from error


def parse_prediction(value: Any) -> Prediction:
    """One prediction of the vendor's API; fields that are not known are passed over, optional ones may be missing.

    Raises:
        UnreadableAnswerError: it has no id, status or time of creation.
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
    """One page of the vendor's list.

    A prediction that cannot be read fails the page: who looks for a run must not conclude that there is none.

    Raises:
        UnreadableAnswerError: it has no results, or one of them is no prediction.
    """
    fields = _mapping(value)
    results = fields.get("results")
    if not isinstance(results, list):
        raise UnreadableAnswerError("a page has results")
    # Only the query of the link is followed: the token must not go to whichever host it names.
    query = urlsplit(_text(fields.get("next")) or "").query
    return Page([parse_prediction(result) for result in results], query or None)


def _required_text(fields: Mapping[str, Any], name: str) -> str:
    text = _text(fields.get(name))
    if text is None:
        raise UnreadableAnswerError(f"a prediction has a text as its {name}")
    return text


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _error(value: Any) -> str | None:
    # A text by the documentation; a model may put other JSON there, which still says more than nothing.
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _moment(text: str) -> datetime:
    try:
        # Digits beyond microseconds, of which the vendor sends up to nine in all, are cut off.
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableAnswerError("a prediction has a time of creation") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _predict_time(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared before it is converted, which fails on a huge integer.
    return Decimal(str(value)) if 0 <= value <= MAX_PREDICT_SECONDS else None
