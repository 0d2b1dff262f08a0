"""Tools that the client runs itself, their calls and results."""

from typing import Any


def tool(name: str) -> dict[str, Any]:
    """A tool that the client offers."""
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": parameters}}


WEATHER, TIME = tool("get_weather"), tool("get_time")


def result(call: dict[str, Any], content: str) -> dict[str, Any]:
    """The client's result of a call."""
    return {"role": "tool", "tool_call_id": call["id"], "content": content}


def calls_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The tool calls in a completion."""
    calls: list[dict[str, Any]] = answer["choices"][0]["message"]["tool_calls"]
    return calls


def names_of(calls: list[dict[str, Any]]) -> list[str]:
    """The names of the tools that are called."""
    return [call["function"]["name"] for call in calls]
