"""Tools that the client runs itself, their calls and results."""

from typing import Any


def tool(name: str) -> dict[str, Any]:
    """A tool of the client's."""
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": parameters}}


WEATHER, TIME = tool("get_weather"), tool("get_time")


def result(call: dict[str, Any], content: str) -> dict[str, Any]:
    """What the client says that a call came to."""
    return {"role": "tool", "tool_call_id": call["id"], "content": content}


def calls_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls in an answer."""
    calls: list[dict[str, Any]] = answer["choices"][0]["message"]["tool_calls"]
    return calls


def names_of(calls: list[dict[str, Any]]) -> list[str]:
    """What they call."""
    return [call["function"]["name"] for call in calls]
