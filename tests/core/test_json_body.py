"""What is read as the body of a request, and what is refused before it is parsed."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidRequestError
from app.core.json import exact_json
from app.core.json_body import parse_body
from app.core.json_limits import (
    MOST_DIGITS,
    MOST_ESCAPES,
    MOST_VALUES,
    CostlyJsonError,
    check_cost,
    cost_checks,
    has_nul,
)

TEXT = st.text(st.sampled_from('a\\\0"[]{},:u0000\ufffd\U0001f98a\n'), max_size=12)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
LEVELS = 201


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@given(VALUES, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
async def test_what_is_read_is_what_was_sent_and_can_be_stored(value: Any, ascii_only: bool, encoding: str) -> None:
    text = json.dumps([value], ensure_ascii=ascii_only)

    try:
        read, _ = await parse_body(text.encode(encoding))
    except InvalidRequestError:
        assert any("\0" in each for each in texts_of(value))
    else:
        assert read == [value]
        exact_json(read)


def texts_of(value: Any) -> list[str]:
    """Every string in the value, keys included."""
    if isinstance(value, dict):
        return [*value, *(text for each in value.values() for text in texts_of(each))]
    if isinstance(value, list):
        return [text for each in value for text in texts_of(each)]
    return [value] if isinstance(value, str) else []


@given(VALUES)
def test_a_nul_is_found_in_the_bytes(value: Any) -> None:
    assert has_nul(orjson.dumps(value)) == any("\0" in text for text in texts_of(value))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"\xff\xfe{", "not valid JSON"),
        (b'"\\ud800"', "not valid JSON"),
        (b'{"a": 1} {"b": 2}', "not valid JSON"),
        (nested(LEVELS + 1), "not valid JSON: recursion"),
        (nested(1_000_000), "not valid JSON|values"),
        (b'{"a":' * 100_000, "not valid JSON|values"),
        (b'["a\\u0000"]', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'{"a": NaN}', "not valid JSON"),
        (b"[Infinity]", "not valid JSON"),
        (b"[-Infinity]", "not valid JSON"),
        (str(2**64).encode(), "number"),
        (b"[-%d]" % 2**64, "number"),
        (b'{"a": ' + b"9" * 400 + b"}", "number"),
        (b"[" + b"[]," * MOST_VALUES + b"[]]", "values"),
        (b"[" + b"1," * MOST_VALUES + b"1]", "values"),
        (b"{" + b",".join(b'"%d":1' % number for number in range(MOST_VALUES)) + b"}", "values"),
        (b"[" + b'"\\"a",' * MOST_VALUES + b"1]", "values"),
        (b'["' + b'","' * 3 * MOST_VALUES + b'"]', "values"),
        (b'["' + b"\\n" * (MOST_ESCAPES + 1) + b'"]', "escaped"),
        (b'["' + b"a" * MOST_VALUES + b'",' + b"7" * (MOST_DIGITS + 1) + b"]", "digits"),
    ],
)
async def test_what_cannot_be_passed_on_or_takes_too_long_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        await parse_body(body)


@pytest.mark.parametrize(
    "body",
    [
        nested(LEVELS),
        b"[1e400, 18446744073709551615, -9223372036854775808]",
        b'["' + b"[1,2],{:}" * MOST_VALUES + b'"]',
        b'["' + b'\\",[' * (MOST_ESCAPES - 1) + b'"]',
        b'["' + b"7" * MOST_VALUES * 2 + b'"]',
        b"[" + b"1," * (MOST_VALUES - 2) + b'"a, b"]',
        b'["\\\\u0000"]',
    ],
    ids=["levels", "odd numbers", "brackets in a text", "quotes in a text", "digits in a text", "values", "no NUL"],
)
async def test_what_looks_like_much_and_is_not_is_read(body: bytes) -> None:
    value, values = await parse_body(body)

    assert value
    assert values <= MOST_VALUES


@given(st.lists(VALUES, max_size=5))
def test_the_count_is_never_less_than_the_values(value: list[Any]) -> None:
    padded = orjson.dumps([*value, "a" * MOST_VALUES])
    checks = cost_checks(padded)
    counted = None
    while counted is None:
        try:
            next(checks)
        except StopIteration as end:
            counted = end.value

    assert counted >= count([*value, ""])


def count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(count(each) for each in value.values())
    return 1 + sum(count(each) for each in value) if isinstance(value, list) else 1


def test_a_text_with_nothing_but_words_is_cheap() -> None:
    check_cost(b'["' + b"words, words. " * 700_000 + b'"]')
    with pytest.raises(CostlyJsonError):
        check_cost(b"[" + b"{}," * MOST_VALUES + b"1]")
