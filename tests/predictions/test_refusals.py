import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.predictions.protocol import (
    PredictionDeniedError,
    PredictionError,
    PredictionMissingError,
    PredictionRejectedError,
    PredictionThrottledError,
    PredictionUnavailableError,
    PredictionUncertainError,
)
from app.predictions.refusals import refusal

LOW_CREDIT = (
    "Request was throttled. Your rate limit for creating predictions is reduced to 6 requests per minute with a burst "
    "of 1 requests while you have less than $5.0 in credit. Your rate limit resets in ~5s."
)


def error_of(
    status: int, body: Any = None, *, retry_after: str | None = None, is_create: bool = True
) -> PredictionError:
    return refusal(status, retry_after, json.dumps(body).encode(), is_create=is_create)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, PredictionRejectedError),
        (404, PredictionMissingError),
        (413, PredictionRejectedError),
        (422, PredictionRejectedError),
        (401, PredictionDeniedError),
        (402, PredictionDeniedError),
        (403, PredictionDeniedError),
        (429, PredictionThrottledError),
        (302, PredictionUncertainError),
        (408, PredictionUncertainError),
        (500, PredictionUncertainError),
        (504, PredictionUncertainError),
    ],
)
def test_which_error_a_status_becomes_for_a_create(status: int, kind: type[PredictionError]) -> None:
    assert type(error_of(status)) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, PredictionMissingError),
        (401, PredictionDeniedError),
        (402, PredictionDeniedError),
        (403, PredictionDeniedError),
        (429, PredictionThrottledError),
        (302, PredictionUnavailableError),
        (400, PredictionUnavailableError),
        (422, PredictionUnavailableError),
        (500, PredictionUnavailableError),
        (503, PredictionUnavailableError),
    ],
)
def test_which_error_a_status_becomes_for_an_existing_prediction(status: int, kind: type[PredictionError]) -> None:
    assert type(error_of(status, is_create=False)) is kind


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (404, {"title": "Not found", "detail": "No such model", "status": 404}, "No such model"),
        (
            422,
            {"title": "Invalid version", "detail": "It does not exist", "status": 422},
            "Invalid version: It does not exist",
        ),
        (422, {"detail": "- input.prompt: required"}, "- input.prompt: required"),
        (402, {"title": "Payment Required"}, "Payment Required"),
        (400, {"detail": [{"loc": ["input"]}]}, '[{"loc": ["input"]}]'),
        (500, {}, "The model provider answered with status 500"),
        (500, [], "The model provider answered with status 500"),
        (422, {"title": "t" * 100, "detail": "d" * 9_000}, f"{'t' * 100}: {'d' * 398}"),
    ],
)
def test_the_text_of_the_error_is_the_vendors(status: int, body: Any, text: str) -> None:
    assert error_of(status, body).text == text


def test_a_page_of_html_is_not_shown() -> None:
    error = refusal(502, None, b"<html><h1>Bad gateway</h1></html>", is_create=True)

    assert error.text == "The model provider answered with status 502"


@pytest.mark.parametrize(
    ("retry_after", "body", "seconds"),
    [
        pytest.param("7", {"detail": LOW_CREDIT, "retry_after": 6}, 7, id="the header takes precedence"),
        pytest.param(None, {"detail": "Your rate limit resets in ~30s.", "retry_after": 6}, 6, id="then the body"),
        pytest.param(None, {"detail": LOW_CREDIT, "status": 429}, 5, id="then the text"),
        pytest.param(None, {"detail": "Your rate limit resets in ~30s."}, 30, id="another text"),
        pytest.param("1.5", {}, 1.5, id="a fraction"),
        pytest.param("soon", {"retry_after": "later", "detail": ["~7s"]}, 7, id="not a number: ignored"),
        pytest.param("-1", {"retry_after": float("nan"), "detail": "~12s"}, 12, id="not a wait: ignored"),
        pytest.param("0", {"retry_after": 10**400, "detail": "~ 8 s"}, 8, id="too large for a float: ignored"),
        pytest.param("86400", {}, 3600, id="at most an hour"),
        pytest.param(None, {"detail": "Request was throttled."}, 5, id="no wait given"),
        pytest.param(None, None, 5, id="no body"),
    ],
)
def test_how_long_the_vendor_asks_to_wait(retry_after: str | None, body: Any, seconds: float) -> None:
    error = error_of(429, body, retry_after=retry_after)

    assert isinstance(error, PredictionThrottledError)
    assert error.wait_seconds == seconds


@given(st.text() | st.none(), st.binary())
def test_for_any_response_the_wait_is_within_an_hour(retry_after: str | None, body: bytes) -> None:
    error = refusal(429, retry_after, body, is_create=True)

    assert isinstance(error, PredictionThrottledError)
    assert 0 < error.wait_seconds <= 3600
