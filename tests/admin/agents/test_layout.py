"""The drawing of who calls whom: every agent once, no two boxes over each other, every line from box to box."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.admin.agents.layout import BOX_HEIGHT, BOX_WIDTH, Drawing, draw, roots_of

CREW: Mapping[str, Sequence[str]] = {
    "orchestrator": ["illustrator", "film-crew", "polish"],
    "illustrator": [],
    "film-crew": ["scriptwriter", "shots"],
    "scriptwriter": [],
    "shots": ["video", "sound"],
    "video": [],
    "sound": [],
    "polish": ["critic", "editor", "critic"],
    "critic": [],
    "editor": [],
}


def columns(drawing: Drawing) -> dict[str, int]:
    return {box.name: round(box.x / (BOX_WIDTH + 60)) for box in drawing.boxes}


def are_apart(drawing: Drawing) -> bool:
    """Whether no box covers a part of another one."""
    places = sorted((box.x, box.y) for box in drawing.boxes)
    return all(
        left != other_left or other_top - top >= BOX_HEIGHT for (left, top), (other_left, other_top) in pairwise(places)
    )


def test_agents_stand_in_the_columns_of_their_callers() -> None:
    drawing = draw(CREW, ["orchestrator"])

    found = columns(drawing)
    assert [name for name, column in found.items() if column == 0] == ["orchestrator"]
    assert {name for name, column in found.items() if column == 3} == {"video", "sound"}
    assert are_apart(drawing)
    assert drawing.width == 4 * BOX_WIDTH + 3 * 60


def test_a_caller_stands_in_the_middle_of_those_it_calls() -> None:
    places = {box.name: box.y for box in draw(CREW, ["orchestrator"]).boxes}

    assert places["shots"] == (places["video"] + places["sound"]) / 2
    assert places["orchestrator"] == (places["illustrator"] + places["polish"]) / 2


def test_a_shared_agent_is_drawn_once_and_each_caller_has_its_line() -> None:
    calls = {"root": ["left", "right", "shared"], "left": ["shared"], "right": ["shared"], "shared": []}

    drawing = draw(calls, ["root"])

    assert columns(drawing) == {"root": 0, "left": 1, "right": 1, "shared": 2}
    lines = [(edge.caller, edge.called) for edge in drawing.edges if edge.called == "shared"]
    assert sorted(lines) == [("left", "shared"), ("right", "shared"), ("root", "shared")]
    assert len({edge.path for edge in drawing.edges}) == 5


def test_an_agent_that_is_called_twice_has_one_line_with_both_places() -> None:
    (first, second) = [edge for edge in draw(CREW, ["orchestrator"]).edges if edge.caller == "polish"]

    assert (first.called, first.places) == ("critic", (1, 3))
    assert (second.called, second.places) == ("editor", (2,))


def test_a_circle_is_drawn_without_the_call_that_closes_it() -> None:
    calls = {"a": ["b"], "b": ["c", "a"], "c": ["b"]}

    assert [(edge.caller, edge.called) for edge in draw(calls, roots_of(calls, list(calls))).edges] == [
        ("a", "b"),
        ("b", "c"),
    ]


@pytest.mark.parametrize(
    ("names", "roots"),
    [(["a", "b", "c"], ["a"]), (["b", "c"], ["b"]), (["c", "d"], ["c", "d"]), ([], [])],
    ids=["all", "lower", "apart", "none"],
)
def test_roots_are_those_that_nobody_of_them_calls(names: list[str], roots: list[str]) -> None:
    assert roots_of({"a": ["b"], "b": ["c"], "c": [], "d": []}, names) == roots


@given(st.data(), st.integers(1, 14))
def test_whatever_calls_whatever_is_drawn_whole(data: st.DataObject, size: int) -> None:
    names = [f"agent-{number}" for number in range(size)]
    calls = {name: data.draw(st.lists(st.sampled_from(names), max_size=4)) for name in names}

    drawing = draw(calls, roots_of(calls, names))

    assert sorted(box.name for box in drawing.boxes) == sorted(names)
    assert are_apart(drawing)
    assert all(0 <= box.y <= drawing.height - BOX_HEIGHT + 0.1 for box in drawing.boxes)
    assert {box.x + BOX_WIDTH <= drawing.width for box in drawing.boxes} == {True}
    pairs = [(edge.caller, edge.called) for edge in drawing.edges]
    assert len(pairs) == len(set(pairs))
    assert all(columns(drawing)[caller] < columns(drawing)[called] for caller, called in pairs)
