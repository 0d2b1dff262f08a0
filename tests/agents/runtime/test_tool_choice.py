"""The forms of `tool_choice`, and what they ask for."""

from typing import Any

import pytest

from app.agents.runtime.tool_choice import check_tool_choice, must_call, names_in


def function(name: Any) -> dict[str, Any]:
    """A choice of this function."""
    return {"type": "function", "function": {"name": name}}


def allowed(mode: Any, tools: Any) -> dict[str, Any]:
    """A choice among these tools."""
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize(
    ("choice", "names", "is_forced"),
    [
        ("none", [], False),
        ("auto", [], False),
        ("required", [], True),
        (function("f"), ["f"], True),
        (allowed("auto", [function("f"), function("g")]), ["f", "g"], False),
        (allowed("required", [function("f")]), ["f"], True),
    ],
)
def test_a_choice_says_which_tools_may_be_called_and_whether_one_must(
    choice: Any, names: list[str], is_forced: bool
) -> None:
    assert check_tool_choice(choice) == choice
    assert (names_in(choice), must_call(choice)) == (names, is_forced)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ("any", "any is called required"),
        ("AUTO", "must be none"),
        ({}, "must be none"),
        ({"type": "any"}, "must be none"),
        ({"type": "tool", "name": "f"}, "must be none"),
        ({"type": "function"}, "a chosen tool is written"),
        ({"type": "function", "name": "f"}, "a chosen tool is written"),
        (function(7), "a chosen tool is written"),
        (function(""), "a chosen tool is written"),
        ({"type": "allowed_tools"}, "needs mode"),
        (allowed("none", [function("f")]), "needs mode"),
        (allowed("auto", []), "needs tools"),
        (allowed("auto", ["f"]), "a chosen tool is written"),
        (allowed("auto", [{"type": "mcp", "server_label": "s"}]), "a chosen tool is written"),
    ],
)
def test_another_form_is_refused_in_words(choice: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_tool_choice(choice)
