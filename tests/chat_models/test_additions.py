"""What upstreams add to messages, put together from deltas."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat_models.additions import MOST_BYTES, Additions, Room, additions_of

Json = dict[str, Any]

json_values = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def merged(*deltas: Json) -> Json:
    additions = Additions(Room())
    for delta in deltas:
        additions.add(delta)
    return additions.value()


def detail(text: str, **fields: Any) -> Json:
    return {"type": "reasoning.text", "text": text, "format": "f1", "index": 0, **fields}


@given(fields=st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_what_comes_at_once_stays_as_it_is(fields: Json) -> None:
    assert merged(fields) == fields


@pytest.mark.parametrize(
    ("deltas", "whole"),
    [
        pytest.param(["a", "b", "b"], "abb", id="texts are joined"),
        pytest.param([1, 2, True], True, id="of other values the last counts"),
        pytest.param(["a", None], "a", id="null says nothing"),
        pytest.param([None, {"a": None}], {"a": None}, id="null within a value is one"),
        pytest.param(["a", {"b": 1}], {"b": 1}, id="another kind of value replaces the first"),
        pytest.param([{"a": "x", "b": 1}, {"a": "y", "c": 2}], {"a": "xy", "b": 1, "c": 2}, id="objects are merged"),
        pytest.param([{"id": "i1", "type": "t"}, {"id": "i1", "type": "t"}], {"id": "i1", "type": "t"}, id="labels"),
        pytest.param([[1, "a"], [2]], [1, "a", 2], id="lists are appended"),
        pytest.param([[{"a": "x"}], [{"a": "y"}]], [{"a": "x"}, {"a": "y"}], id="items without a number are appended"),
        pytest.param(["c2lnbmF0dXJlIG9m", "c2lnbmF0dXJlIG9m"], "c2lnbmF0dXJlIG9m", id="a long text that is repeated"),
        pytest.param([[detail("a")], [detail("b", signature="s")]], [detail("ab", signature="s")], id="numbered items"),
        pytest.param(
            [[detail("a")], [{"index": 0, "text": "b"}]], [detail("ab")], id="a numbered item that repeats no label"
        ),
        pytest.param(
            [[detail("a", id="r1")], [detail("b", id="r2")]],
            [detail("a", id="r1"), detail("b", id="r2")],
            id="one number, two ids",
        ),
        pytest.param(
            [[detail("a")], [{"type": "reasoning.encrypted", "data": "x", "index": 0}]],
            [detail("a"), {"type": "reasoning.encrypted", "data": "x", "index": 0}],
            id="one number, two types",
        ),
        pytest.param([[detail("a"), detail("b")]], [detail("a"), detail("b")], id="one number twice in one delta"),
        pytest.param(
            [
                [{"type": "thinking", "thinking": "a"}],
                [{"type": "thinking", "thinking": "b"}],
                [{"type": "thinking", "thinking": "", "signature": "s1"}],
                [{"type": "thinking", "thinking": "c", "signature": "s2"}],
            ],
            [
                {"type": "thinking", "thinking": "ab", "signature": "s1"},
                {"type": "thinking", "thinking": "c", "signature": "s2"},
            ],
            id="thinking blocks without a number",
        ),
        pytest.param(
            [[{"index": [], "type": {}}], [{"index": "0"}]], [{"index": [], "type": {}}, {"index": "0"}], id="odd"
        ),
    ],
)
def test_deltas_are_merged(deltas: list[Any], whole: Any) -> None:
    assert merged(*({"x": delta} for delta in deltas)) == {"x": whole}


def test_only_fields_that_are_not_known_and_not_empty_are_additions() -> None:
    message: Json = {
        "role": "assistant",
        "content": "a",
        "audio": None,
        "annotations": [],
        "x": {},
        "y": "",
        "z": 0,
        "q": 1,
    }

    assert additions_of(message, {"role", "content"}) == {"z": 0, "q": 1}


def test_more_than_there_is_room_for_is_left_out_as_a_whole(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    small, large = Additions(room), Additions(room)
    small.add({"a": "x"})
    large.add({"b": "x" * (MOST_BYTES // 2)})
    large.add({"b": "x" * (MOST_BYTES // 2)})
    large.add({"b": "x"})
    small.add({"a": "y"})

    assert large.value() == {}
    assert small.value() in ({"a": "xy"}, {})
    assert caplog.messages == ["upstream_additions_left_out"]


def test_a_long_text_in_many_pieces_is_joined_in_little_time() -> None:
    additions = Additions(Room())
    begun = time.process_time()
    for _ in range(10_000):
        additions.add({"d": [{"index": 0, "text": "word "}]})

    assert len(additions.value()["d"][0]["text"]) == 50_000
    assert time.process_time() - begun < 2
