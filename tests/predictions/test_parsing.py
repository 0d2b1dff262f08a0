import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.json import UnstorableJsonError, storable_json
from app.predictions.parsing import (
    MAX_PREDICT_SECONDS,
    UnreadableResponseError,
    parse_json,
    parse_page,
    parse_prediction,
    parse_response,
)

SMALLEST = {"id": "ufawqhfynnddngldkgtslldrkq", "status": "starting", "created_at": "2026-03-01T12:00:00.5Z"}
WHOLE = {
    **SMALLEST,
    "model": "black-forest-labs/flux-schnell",
    "version": "hidden",
    "status": "succeeded",
    "input": {"prompt": "a boat"},
    "output": ["https://replicate.delivery/x/out-0.png"],
    "error": None,
    "data_removed": False,
    "metrics": {"predict_time": 1.25, "total_time": 2, "image_count": 1},
    "webhook": "https://junis.example/webhooks/replicate?content=1",
    "urls": {"get": "https://api.replicate.com/v1/predictions/ufawqhfynnddngldkgtslldrkq"},
    "a_field_of_tomorrow": {"x": 1},
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_every_field_is_read() -> None:
    prediction = parse_prediction(WHOLE)

    assert prediction.id == WHOLE["id"]
    assert (prediction.status, prediction.is_terminal) == ("succeeded", True)
    assert (prediction.model, prediction.version) == ("black-forest-labs/flux-schnell", "hidden")
    assert (prediction.input, prediction.output) == (WHOLE["input"], WHOLE["output"])
    assert (prediction.error, prediction.data_removed) == (None, False)
    assert prediction.predict_time == Decimal("1.25")
    assert prediction.webhook == WHOLE["webhook"]
    assert prediction.created_at == datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)


def test_optional_fields_may_be_missing() -> None:
    prediction = parse_prediction(SMALLEST)

    assert (prediction.model, prediction.version, prediction.input) == ("", "", {})
    assert (prediction.output, prediction.error, prediction.predict_time, prediction.webhook) == (None,) * 4
    assert prediction.data_removed is False


@pytest.mark.parametrize(
    ("status", "is_terminal"), [("aborted", True), ("canceled", True), ("processing", False), ("queued", False)]
)
def test_an_unknown_status_is_kept_and_not_terminal(status: str, is_terminal: bool) -> None:
    prediction = parse_prediction({**SMALLEST, "status": status})

    assert (prediction.status, prediction.is_terminal) == (status, is_terminal)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T12:00:00.123456789Z", datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-03-01T12:00:00.123456Z", datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, 0, 0, tzinfo=UTC)),
        ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)),
    ],
)
def test_times_are_aware_for_any_number_of_digits(text: str, moment: datetime) -> None:
    assert parse_prediction({**SMALLEST, "created_at": text}).created_at == moment


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("0", "0"), ("0.1", "0.1"), ("1.000001", "1.000001"), ("12", "12"), ("1e-7", "1e-7"), ("604800", "604800")],
)
def test_the_computing_time_is_parsed_without_rounding(written: str, seconds: str) -> None:
    metrics = parse_json(f'{{"predict_time": {written}}}'.encode())

    assert parse_prediction({**SMALLEST, "metrics": metrics}).predict_time == Decimal(seconds)


@pytest.mark.parametrize(
    "written", ["NaN", "Infinity", "-Infinity", "-0.5", "604801", "1e400", "9" * 400, "true", '"1"']
)
def test_an_absurd_computing_time_is_ignored(written: str) -> None:
    metrics = parse_json(f'{{"predict_time": {written}}}'.encode())

    assert parse_prediction({**SMALLEST, "metrics": metrics}).predict_time is None


def test_an_error_that_is_not_text_is_kept_as_json() -> None:
    prediction = parse_prediction({**SMALLEST, "error": {"code": "E1001"}})

    assert prediction.error == '{"code": "E1001"}'


def test_numbers_that_json_does_not_allow_become_null() -> None:
    assert parse_json(b'{"output": [NaN, Infinity, -Infinity, 1.5]}') == {"output": [None, None, None, 1.5]}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"\xff\xfe", b"1" * 5000 + b"x"])
def test_a_response_that_is_not_json_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableResponseError):
        parse_json(body)


@pytest.mark.parametrize("field", ["id", "status", "created_at"])
@pytest.mark.parametrize("value", [None, "", 7])
def test_a_prediction_without_a_required_field_is_unreadable(field: str, value: Any) -> None:
    with pytest.raises(UnreadableResponseError):
        parse_prediction({**SMALLEST, field: value})


def test_a_page_holds_its_predictions_and_the_query_of_the_next_page() -> None:
    link = "https://elsewhere.example/v1/predictions?cursor=cD0yMDI&created_after=2026"

    page = parse_page({"results": [WHOLE, SMALLEST], "next": link, "previous": None})

    assert [prediction.status for prediction in page.predictions] == ["succeeded", "starting"]
    assert page.next_query == "cursor=cD0yMDI&created_after=2026"


@pytest.mark.parametrize("link", [None, "", 7])
def test_a_page_without_a_link_is_the_last(link: Any) -> None:
    assert parse_page({"results": [], "next": link}).next_query is None


@pytest.mark.parametrize("page", [None, [], {}, {"results": None}, {"results": [{}]}, {"results": [SMALLEST, "x"]}])
def test_a_page_with_an_unreadable_prediction_is_unreadable(page: Any) -> None:
    with pytest.raises(UnreadableResponseError):
        parse_page(page)


@given(fields=st.fixed_dictionaries({}, optional=dict.fromkeys(WHOLE, json_values)), others=json_values)
def test_any_response_is_a_valid_prediction_or_unreadable(fields: dict[str, Any], others: Any) -> None:
    """For any values of the fields, parsing returns a prediction within bounds or raises its own error."""
    body = parse_json(json.dumps({**SMALLEST, **fields, "metrics": {"predict_time": others}}).encode())

    try:
        prediction = parse_prediction(body)
    except UnreadableResponseError:
        return

    assert prediction.predict_time is None or 0 <= prediction.predict_time <= MAX_PREDICT_SECONDS
    assert prediction.created_at.tzinfo is not None


@given(json_values)
def test_any_page_is_valid_or_unreadable(value: Any) -> None:
    try:
        page = parse_page(value)
    except UnreadableResponseError:
        return

    assert page.predictions == []


def test_one_deep_or_large_value_does_not_make_a_response_unreadable() -> None:
    """The rest of a page of predictions can be used, and what is left of the value is still refused."""
    files = ["https://replicate.delivery/a"] * 3
    deep = b"[" * 50_000 + b'"x]\\"]"' + b"]" * 50_000
    body = b'[{"id": "a", "output": %b}, {"id": "b", "output": %b}]' % (deep, json.dumps(files).encode())

    first, second = parse_response(body)
    (large,) = parse_response(b"[" + b"1" * 5000 + b"]")

    assert (first["id"], second) == ("a", {"id": "b", "output": files})
    for value in (first["output"], large):
        with pytest.raises(UnstorableJsonError):
            storable_json(value)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[" * 100_000 + b"]" * 99_999, b"]" * 100_000])
def test_a_deep_response_that_is_not_whole_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableResponseError):
        parse_response(body)


def test_an_error_of_any_depth_is_no_reason_to_fail() -> None:
    error: Any = "x"
    for _ in range(100_000):
        error = [error]

    assert parse_prediction({**SMALLEST, "error": error}).error == ""


@pytest.mark.parametrize("prediction_id", ["a\0b", "\ud800", "a b", "x" * 256])
def test_an_id_that_could_not_be_stored_is_unreadable(prediction_id: str) -> None:
    with pytest.raises(UnreadableResponseError):
        parse_prediction({**SMALLEST, "id": prediction_id})
