"""A client's `tool_choice`: its forms, and the tools that it names."""

from collections.abc import Sequence
from typing import Any

from app.chat_models.protocol import JsonObject

ToolChoice = str | JsonObject

_WORDS = ("none", "auto", "required")
_MODES = ("auto", "required")
_FORMS = (
    "must be none, auto, required, {type: function, function: {name}} or"
    " {type: allowed_tools, allowed_tools: {mode, tools}}"
)


def check_tool_choice(choice: ToolChoice) -> ToolChoice:
    """The choice, if it has one of OpenAI's forms.

    Raises:
        ValueError: it has none of them.
    """
    if choice == "any":
        raise ValueError("any is called required here")
    if isinstance(choice, str) and choice not in _WORDS:
        raise ValueError(_FORMS)
    names_in(choice)
    return choice


def names_in(choice: ToolChoice | None) -> list[str]:
    """The tools that a choice names.

    Raises:
        ValueError: it is an object of another form.
    """
    if choice is None or isinstance(choice, str):
        return []
    if choice.get("type") == "function":
        return [_name_in(choice)]
    if choice.get("type") == "allowed_tools":
        return [_name_in(tool) for tool in _allowed(choice.get("allowed_tools"))]
    raise ValueError(_FORMS)


def must_call(choice: ToolChoice | None) -> bool:
    """Whether the model has to call a tool."""
    if isinstance(choice, str) or choice is None:
        return choice == "required"
    return choice.get("type") == "function" or choice["allowed_tools"]["mode"] == "required"


def _allowed(allowed: Any) -> Sequence[Any]:
    if not isinstance(allowed, dict) or allowed.get("mode") not in _MODES:
        raise ValueError("allowed_tools needs mode, auto or required")
    tools = allowed.get("tools")
    if not isinstance(tools, list) or not tools:
        raise ValueError("allowed_tools needs tools, a list of {type: function, function: {name}}")
    return tools


def _name_in(tool: Any) -> str:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not name:
        raise ValueError("a chosen tool is written {type: function, function: {name}}")
    return name
