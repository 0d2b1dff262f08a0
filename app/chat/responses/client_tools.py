"""A client's tools and its choice among them: read as a chat model reads them, and shown in the response. Pure."""

import re
from collections.abc import Sequence
from typing import Any

from app.agents.runtime.tool_choice import ToolChoice, check_tool_choice
from app.chat.responses.places import refuse
from app.chat_models.protocol import JsonObject

# The tools of one client may be many, most of which this server does not know.
_MOST_TOOLS, _MOST_FUNCTIONS = 1000, 128
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OTHER_TYPE = "only functions can be chosen: this server has no tools of type"


def check_tools(given: Sequence[Any]) -> list[JsonObject]:
    """The functions among the tools, as they were sent. Clients offer tools of other types unasked: these are not kept.

    Raises:
        ValidationError: a tool has no type, or a function is not complete.
    """
    if len(given) > _MOST_TOOLS:
        refuse((), f"has more than {_MOST_TOOLS} tools")
    functions = []
    for index, tool in enumerate(given):
        if not isinstance(tool, dict) or not isinstance(tool.get("type"), str):
            refuse((index,), "a tool is an object with a type")
        if tool["type"] == "function":
            _check_function(tool, index)
            functions.append(tool)
    if len(functions) > _MOST_FUNCTIONS:
        refuse((), f"has more than {_MOST_FUNCTIONS} functions")
    return functions


def _check_function(tool: JsonObject, index: int) -> None:
    name, parameters = tool.get("name"), tool.get("parameters")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        refuse((index, "name"), "must be 1 to 64 letters, digits, _ or -")
    if parameters is not None and not isinstance(parameters, dict):
        refuse((index, "parameters"), "must be an object")


def as_chat_tool(tool: JsonObject) -> JsonObject:
    """A function as chat completions have it."""
    function = {
        name: tool[name] for name in ("name", "description", "parameters", "strict") if tool.get(name) is not None
    }
    return {"type": "function", "function": function}


def shown_tool(tool: JsonObject) -> JsonObject:
    """A function as responses show it: with every field."""
    fields = {name: tool.get(name) for name in ("name", "description", "parameters", "strict")}
    return {"type": "function", **fields}


def as_chat_choice(choice: str | JsonObject) -> ToolChoice:
    """A choice as chat completions have it.

    Raises:
        ValidationError: it has none of OpenAI's forms, or chooses what is no function.
    """
    if isinstance(choice, str):
        return _checked(choice)
    kind = choice.get("type")
    if kind == "function":
        return _checked(_named(choice))
    if kind != "allowed_tools":
        refuse((), f"{_OTHER_TYPE} {str(kind)[:50]}")
    tools = choice.get("tools")
    if not isinstance(tools, list):
        refuse(("tools",), "must be a list of {type: function, name}")
    # Of other types there are no tools here, so that these are all that may be called.
    functions = [tool for tool in tools if isinstance(tool, dict) and tool.get("type") == "function"]
    if tools and not functions:
        refuse(("tools",), f"{_OTHER_TYPE} {str(tools[0].get('type') if isinstance(tools[0], dict) else None)[:50]}")
    allowed = {"mode": choice.get("mode", "auto"), "tools": [_named(tool) for tool in functions]}
    return _checked({"type": "allowed_tools", "allowed_tools": allowed})


def _named(choice: JsonObject) -> JsonObject:
    name = choice.get("name")
    if not isinstance(name, str) or not name:
        refuse((), "a chosen function is written {type: function, name}")
    return {"type": "function", "function": {"name": name}}


def _checked(choice: ToolChoice) -> ToolChoice:
    try:
        return check_tool_choice(choice)
    except ValueError as error:
        reason = str(error) if choice == "any" or not isinstance(choice, str) else _FORMS
        refuse((), reason)


_FORMS = "must be none, auto, required, {type: function, name} or {type: allowed_tools, mode, tools}"
