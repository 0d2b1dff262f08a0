import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.database import Database
from app.core.json import MOST_LEVELS, UnstorableJsonError, exact_json, read_json, storable_json, storable_text

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NUMBERS = st.integers() | st.integers(-(10**300), 10**300) | st.floats() | st.sampled_from([5e-324, 1.7e308, -0.0])
ODD_TEXT = st.text(st.sampled_from('a\\\0\ud800\udfff\ufffd\U0001f98a"u0000'), max_size=9)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | ODD_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(VALUES)
def test_json_without_a_nul_is_stored_unchanged(value: Any) -> None:
    if "\\u0000" not in json.dumps(value):
        assert json.loads(storable_json(value)) == value


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("a\0b", "a\ufffdb"),
        ("\\u0000", "\\u0000"),
        ("\\\0", "\\\ufffd"),
        ("\\\\u0000", "\\\\u0000"),
        ("\0\0", "\ufffd\ufffd"),
        ("\ud800", "\ufffd"),
        ([2**70, "\udfff\0"], [2**70, "\ufffd\ufffd"]),
        ([2**70, float("inf"), {"a": float("nan")}], [2**70, None, {"a": None}]),
        ({"\0": ["\0", {"a": "\\\\\0"}]}, {"\ufffd": ["\ufffd", {"a": "\\\\\ufffd"}]}),
    ],
)
def test_what_postgres_cannot_store_becomes_the_replacement_character(value: Any, stored: Any) -> None:
    assert json.loads(storable_json(value)) == stored


async def test_postgres_accepts_every_result(database: Database) -> None:
    value = {"\0": "\\\0", "half": "\ud800", "number": 2**70 + 1, "text": "ü\u2028\U0001f98a\x7f\x1b"}

    async with database.transaction() as tx:
        stored = await tx.fetchval("SELECT $1::jsonb::text", storable_json(value))

    assert json.loads(stored) == {
        "\ufffd": "\\\ufffd",
        "half": "\ufffd",
        # An integer of more than 64 bits is stored as it will be read: as a float.
        "number": 1180591620717411300000,
        "text": "ü\u2028\U0001f98a\x7f\x1b",
    }


@given(st.lists(ANYTHING, min_size=1, max_size=5))
def test_whatever_is_stored_can_be_read_and_stored_again(values: list[Any]) -> None:
    text = storable_json(values)

    assert exact_json(orjson.loads(text)) == text


async def test_postgres_gives_back_what_was_read_before_it_was_stored(database: Database) -> None:
    """It writes numbers in a form of its own: the same values are read from it."""
    edges = [1e-300, 1.5e300, 1.7976931348623157e308, 5e-324, 1e15, 1e16, 1e22, 1e23, 0.1, -0.0, 2**63, 2**64, 10**308]
    values = [*edges, *(-edge for edge in edges), {"\0": 1, "\ufffd": 2}, ["\ud800", float("nan")]]

    async with database.transaction() as tx:
        stored = await tx.fetchval("SELECT $1::jsonb", storable_json(values))

    assert stored == orjson.loads(storable_json(values))


@pytest.mark.parametrize("value", [10**400, [{"seed": -(10**309)}], {1, 2}], ids=["large", "negative", "no JSON"])
def test_what_could_not_be_read_again_is_refused(value: Any) -> None:
    with pytest.raises(UnstorableJsonError):
        storable_json(value)


def test_a_value_may_have_as_many_levels_as_responses_and_readers_can_take() -> None:
    assert storable_json(nested(MOST_LEVELS)) == "[" * MOST_LEVELS + "1" + "]" * MOST_LEVELS
    for levels in (MOST_LEVELS + 1, 300, 1500, 100_000):
        with pytest.raises(UnstorableJsonError):
            storable_json(nested(levels))


@pytest.mark.parametrize("value", ["a\0", "\ud800", 2**64, {"a": 10**400}, [[2**70]]])
def test_only_what_is_read_exactly_as_it_was_is_exact(value: Any) -> None:
    with pytest.raises(UnstorableJsonError):
        exact_json(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"seed": ' + "1" * 400 + ', "a": [1.5, 2]}', {"seed": None, "a": [1.5, 2]}),
        ("[1e400, 7, " + str(2**70) + "]", [None, 7, float(2**70)]),
        ("[" * 100_000 + "]" * 100_000, None),
        ("no JSON", None),
    ],
    ids=["integer", "float", "levels", "text"],
)
def test_what_another_version_has_stored_fails_no_query(text: str, value: Any) -> None:
    assert read_json(text) == value


async def test_an_unreadable_row_does_not_fail_the_query_of_others(database: Database) -> None:
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT value::jsonb FROM unnest($1::text[]) AS t (value)", ["1" * 400, '{"a": 1}'])

    assert [row["value"] for row in rows] == [None, {"a": 1}]


@settings(deadline=None)
@given(st.text(max_size=20))
def test_only_the_nuls_of_a_text_are_replaced(value: str) -> None:
    assert storable_text(value) == value.replace("\0", "\ufffd")


def test_a_lone_surrogate_is_replaced_too() -> None:
    assert storable_text("a\ud800b") == "a\ufffdb"


def nested(levels: int) -> Any:
    """A number in this many lists inside each other."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value
