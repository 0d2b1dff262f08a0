"""Refuses chat requests whose parts are of other types than OpenAI's, as its API does before a model sees them."""

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.openai.errors import invalid_type
from simulator.wire import Json

_Kinds = tuple[type, ...]

_OF_REQUESTS: Mapping[str, _Kinds] = {
    "tools": (list,),
    "tool_choice": (str, dict),
    "response_format": (dict,),
    "stream_options": (dict,),
    "stop": (str, list),
    "max_tokens": (int,),
    "max_completion_tokens": (int,),
    "n": (int,),
}
_OF_MESSAGES: Mapping[str, _Kinds] = {"role": (str,), "content": (str, list), "tool_calls": (list,)}
_OF_CALLS: Mapping[str, _Kinds] = {"id": (str,), "function": (dict,)}
_OF_TOOLS: Mapping[str, _Kinds] = {"function": (dict,)}
_OF_FUNCTIONS: Mapping[str, _Kinds] = {"name": (str,), "parameters": (dict,)}
_OF_FORMATS: Mapping[str, _Kinds] = {"type": (str,), "json_schema": (dict,)}


def check_types(body: Json) -> None:
    """Check what the simulator reads of a request. What is null counts as left out.

    Raises:
        ApiError: 400, a part is of another type, or a name or an id is missing.
    """
    _check(body, _OF_REQUESTS)
    for place, message in _objects(body, "messages"):
        _check(message, _OF_MESSAGES, place)
        if isinstance(message.get("content"), list):
            _check_all(_objects(message, "content", place), {})
        _check_all(_objects(message, "tool_calls", place), _OF_CALLS, needed="id")
    for place, tool in _objects(body, "tools"):
        _check(tool, _OF_TOOLS, place)
        if tool.get("function") is not None:
            _check(tool["function"], _OF_FUNCTIONS, f"{place}function.", needed="name")
    _check_choice(body.get("tool_choice"))
    response_format = body.get("response_format") or {}
    _check(response_format, _OF_FORMATS, "response_format.")
    _check(response_format.get("json_schema") or {}, {"schema": (dict,)}, "response_format.json_schema.")


def _check_choice(choice: Any) -> None:
    if isinstance(choice, dict):
        _check(choice, {"function": (dict,)}, "tool_choice.")


def _objects(holder: Json, name: str, place: str = "") -> Iterator[tuple[str, Json]]:
    """The objects of a list, each with the place that its fields have."""
    for index, each in enumerate(holder.get(name) or ()):
        if not isinstance(each, dict):
            raise invalid_type(f"{place}{name}[{index}]")
        yield f"{place}{name}[{index}].", each


def _check_all(objects: Iterator[tuple[str, Json]], kinds: Mapping[str, _Kinds], needed: str = "") -> None:
    for place, each in objects:
        _check(each, kinds, place, needed)


def _check(holder: Json, kinds: Mapping[str, _Kinds], place: str = "", needed: str = "") -> None:
    for name, expected in kinds.items():
        value = holder.get(name)
        is_missing = value is None and name != needed
        if not is_missing and (not isinstance(value, expected) or isinstance(value, bool)):
            raise invalid_type(f"{place}{name}")
