import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.protocol import Upstream
from app.chat_models.refusals import refusal, stated_wait, wait_seconds
from app.core.errors import ProviderError, ProviderRateLimitedError, ProviderUnavailableError

KEY = "sk-proj-3kV9aQ7xT2bN8mR5"
UPSTREAM = Upstream(base_url="https://models.example/v1", api_key=KEY)
NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def error_of(status: int, body: Any, retry_after: str | None = None) -> Any:
    return refusal(UPSTREAM, status, retry_after, body if isinstance(body, bytes) else json.dumps(body).encode())


def error_body(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **fields}}


@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_client_learns_what_is_wrong_with_its_request(status: int) -> None:
    error = error_of(status, error_body("temperature must be at most 2", param="temperature"))

    assert isinstance(error, UpstreamRejectedError)
    assert (error.status, error.type, error.code) == (400, "invalid_request_error", "invalid_request")
    assert (error.text, error.param) == ("temperature must be at most 2", "temperature")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param({"error": "model is loading"}, "model is loading", id="a text"),
        pytest.param([error_body("bad image")], "bad image", id="a list of one"),
        pytest.param({"object": "error", "message": "too long", "code": 400}, "too long", id="a bare object"),
        pytest.param(b"<html>400</html>", UpstreamRejectedError.message, id="HTML"),
        pytest.param([], UpstreamRejectedError.message, id="an empty list"),
        pytest.param({"error": {"message": None}}, UpstreamRejectedError.message, id="no message"),
        pytest.param(b"unknown field `x`, expected `y`", "unknown field `x`, expected `y`", id="a plain text"),
        pytest.param({"detail": "too long"}, "too long", id="a detail"),
        pytest.param(
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "x"], "msg": "Extra"}, {"msg": "More"}]},
            "body.x: Extra: extra_forbidden; More",
            id="several details",
        ),
        pytest.param({"errors": [{"message": "bad"}]}, "bad", id="errors"),
        pytest.param({"detail": {"error": {"message": "bad"}}}, "bad", id="an error in the detail"),
        pytest.param({"error": {"error": "bad"}}, "bad", id="an error in the error"),
        pytest.param({"Message": "bad"}, "bad", id="Amazon's capitals"),
        pytest.param({"error": {"message": {"detail": "bad"}}}, "bad", id="an object as the message"),
        pytest.param({"title": "Bad Request", "status": 400}, "Bad Request", id="a problem document"),
    ],
)
def test_every_servers_error_format_is_understood(body: Any, text: str) -> None:
    assert error_of(400, body).text == text


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        "Bearer eyJhbGciOi.abc",
        "sk-ant-api03-xyzxyz",
        "r8_abcdefghij",
        "sk-abc***wxyz",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_nothing_that_looks_like_a_key_is_repeated(secret: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        error = error_of(400, error_body(f"Incorrect key provided: {secret}, see the documentation."))

    assert secret not in error.text
    assert error.text.endswith("see the documentation.")
    assert all(secret not in str(vars(record)) for record in caplog.records)


def test_the_operators_key_is_not_repeated_even_if_it_does_not_look_like_one() -> None:
    upstream = Upstream(base_url=UPSTREAM.base_url, api_key="correct.horse.battery")

    error = refusal(upstream, 400, None, b'{"error": "no such key: correct.horse.battery"}')

    assert error.text == "no such key: [redacted]"


def test_a_long_message_is_truncated() -> None:
    assert len(error_of(400, error_body("too long " * 1_000)).text) == 500


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_account_is_logged_for_the_operator(status: int, caplog: pytest.LogCaptureFixture) -> None:
    error = error_of(status, error_body(f"Incorrect API key provided: {KEY}"))

    assert isinstance(error, ProviderError)
    assert error.text == ProviderError.message
    assert [(record.message, record.levelname) for record in caplog.records] == [("upstream_denied", "ERROR")]
    assert vars(caplog.records[0])["status"] == status
    assert KEY not in str(vars(caplog.records[0]))


def test_a_used_up_quota_is_not_reported_as_a_rate_limit(caplog: pytest.LogCaptureFixture) -> None:
    error = error_of(429, error_body("You exceeded your current quota", code="insufficient_quota"))

    assert isinstance(error, ProviderError)
    assert caplog.messages == ["upstream_denied"]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, "7"),
        ({"Retry-After": "7", "Retry-After-Ms": "1500"}, "1.5"),
        ({"Retry-After-Ms": "250.5"}, "0.2505"),
        ({"Retry-After": "7", "Retry-After-Ms": "soon"}, "7"),
        ({}, None),
    ],
)
def test_a_wait_in_milliseconds_is_the_more_exact_one(headers: dict[str, str], wait: str | None) -> None:
    assert stated_wait(headers) == wait


def test_a_rate_limit_says_when_to_retry() -> None:
    error = error_of(429, error_body("Rate limit reached"), retry_after="7")

    assert isinstance(error, ProviderRateLimitedError)
    assert error.retry_after == 7


@pytest.mark.parametrize("status", [302, 404, 405, 408, 409, 500, 502, 504, 520])
def test_every_other_status_is_a_provider_error(status: int) -> None:
    error = error_of(status, error_body(f"failed with {KEY}"))

    assert isinstance(error, ProviderError)
    assert error.text == ProviderError.message


@pytest.mark.parametrize("status", [503, 529])
@pytest.mark.parametrize(
    ("header", "headers"),
    [(None, {}), ("7", {"Retry-After": "7"}), ("90", {"Retry-After": "60", "x-should-retry": "false"})],
)
def test_an_overloaded_upstream_may_be_asked_again(status: int, header: str | None, headers: dict[str, str]) -> None:
    error = error_of(status, error_body(f"failed with {KEY}"), header)

    assert isinstance(error, ProviderUnavailableError)
    assert (error.status, error.type, error.code) == (503, "server_error", "provider_unavailable")
    assert (error.text, error.headers()) == (ProviderUnavailableError.message, headers)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "x"}, ProviderRateLimitedError),
        ({"code": "429", "message": "x"}, ProviderRateLimitedError),
        ({"type": "rate_limit_error", "message": "x"}, ProviderRateLimitedError),
        ({"code": 503, "message": "x"}, ProviderUnavailableError),
        ({"type": "overloaded_error", "message": "x"}, ProviderUnavailableError),
        ({"code": 400, "message": "x"}, UpstreamRejectedError),
        ({"code": 401, "message": "x"}, ProviderError),
        ({"code": 1302, "message": "x"}, ProviderError),
        ({"message": "x"}, ProviderError),
        ("x", ProviderError),
    ],
)
def test_an_error_within_a_success_is_what_it_says_unless_the_answer_had_begun(error: Any, kind: type) -> None:
    body = json.dumps({"error": error}).encode()

    assert type(refusal(UPSTREAM, 200, None, body)) is kind
    assert type(refusal(UPSTREAM, 200, None, body, has_begun=True)) is ProviderError


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 5),
        ("", 5),
        ("soon", 5),
        ("nan", 5),
        ("inf", 5),
        ("0", 0),
        ("-3", -3),
        ("2.1", 2.1),
        ("3600", 3600),
        ("Sun, 01 Mar 2026 12:00:20 GMT", 20),
        ("Sun, 01 Mar 2026 12:00:20 -0000", 20),
        ("Sun, 01 Mar 2026 11:00:00 GMT", -3600),
        ("Sun, 01 Mar 2026 13:00:00 GMT", 3600),
    ],
)
def test_how_long_a_retry_after_header_says_to_wait(header: str | None, seconds: float) -> None:
    assert wait_seconds(header, NOON) == seconds


@pytest.mark.parametrize(
    ("header", "seconds", "may_repeat"),
    [("-3", 1, True), ("2.1", 3, True), ("60", 60, True), ("60.5", 60, False), ("3600", 60, False)],
)
def test_clients_are_asked_not_to_retry_if_the_wait_is_too_long(header: str, seconds: int, may_repeat: bool) -> None:
    error = error_of(429, error_body("Rate limit reached"), retry_after=header)

    assert error.headers() == {"Retry-After": str(seconds)} | ({} if may_repeat else {"x-should-retry": "false"})


@given(st.text())
def test_for_any_header_the_wait_is_between_a_second_and_a_minute(header: str) -> None:
    assert 1 <= error_of(429, error_body("Rate limit reached"), retry_after=header).retry_after <= 60
