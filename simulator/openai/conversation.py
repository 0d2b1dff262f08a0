"""What a conversation says: its words, its pictures, the results at its end."""

from typing import Any

from simulator.wire import Json


def text_of(message: Json) -> str:
    """The text of a message, whose content may be a string, a list of parts, or missing."""
    content: Any = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in _parts(message) if part.get("type") == "text")
    return str(content or "")


def last_words(messages: list[Json]) -> str:
    """What the user said last; empty if there is no such message."""
    spoken = (text_of(message) for message in reversed(messages) if message.get("role") == "user")
    return next(spoken, "").strip()


def image_count(messages: list[Json]) -> int:
    """How many pictures the conversation contains."""
    return sum(part.get("type") == "image_url" for message in messages for part in _parts(message))


def latest_results(messages: list[Json]) -> list[str]:
    """The results of the tools, if the conversation ends with them."""
    results: list[str] = []
    for message in reversed(messages):
        if message.get("role") != "tool":
            break
        results.append(text_of(message))
    return results[::-1]


def character_count(messages: list[Json]) -> int:
    """The length of all texts, the arguments of tool calls included."""
    calls = [call for message in messages for call in message.get("tool_calls") or []]
    arguments = sum(len(str((call.get("function") or {}).get("arguments", ""))) for call in calls)
    return arguments + sum(len(text_of(message)) for message in messages)


def _parts(message: Json) -> list[Json]:
    content: Any = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
