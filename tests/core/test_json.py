import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.database import Database
from app.core.json import storable_json, storable_text

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
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
    value = {"\0": "\\\0", "half": "\ud800", "number": 2**70, "text": "ü\u2028\U0001f98a\x7f\x1b"}

    async with database.transaction() as tx:
        stored = await tx.fetchval("SELECT $1::jsonb::text", storable_json(value))

    assert json.loads(stored) == {
        "\ufffd": "\\\ufffd",
        "half": "\ufffd",
        "number": 2**70,
        "text": "ü\u2028\U0001f98a\x7f\x1b",
    }


@settings(deadline=None)
@given(st.text(max_size=20))
def test_only_the_nuls_of_a_text_are_replaced(value: str) -> None:
    assert storable_text(value) == value.replace("\0", "\ufffd")


def test_a_lone_surrogate_is_replaced_too() -> None:
    assert storable_text("a\ud800b") == "a\ufffdb"
