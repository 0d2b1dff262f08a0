"""Which tools a request asks for, by their names and the words."""

import re

from simulator.openai.requests import Tool

# What tools do rather than what they are about: "get_weather" is about the weather.
_VERB = re.compile(
    "ask|call|check|create|current|do|fetch|find|for|generate|get|in|is|list|look|lookup|make|my|of|on|query|read|run|"
    "search|send|set|show|tell|the|to|tool|update|use|web|write"
)
_WORDS = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LAST = re.compile(r"final|answer|result|respond|submit|finish|done", re.IGNORECASE)


def is_named(tool: Tool, lowered: str) -> bool:
    """Whether the words, in lower case, hold the tool's name."""
    name = tool.name.lower()
    return name in lowered or name.replace("_", " ") in lowered


def is_meant(tool: Tool, lowered: str) -> bool:
    """Whether the words hold all that the tool's name is about, as "What is the weather?" does for `get_weather`."""
    parts = [part.lower() for part in _WORDS.findall(_CAMEL.sub("_", tool.name))]
    subjects = {part for part in parts if not _VERB.fullmatch(part)}
    return len(subjects) < len(parts) and bool(subjects) and subjects <= set(_WORDS.findall(lowered))


def is_last(tool: Tool) -> bool:
    """Whether the tool is one by which an agent gives its answer."""
    return _LAST.search(tool.name) is not None
