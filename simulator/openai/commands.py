"""The work of a coding agent: the commands that the user's words hold, one after another.

"Run `cat a.txt`, then run `printf %s <result> > b.txt`" makes two calls of the client's tool that runs commands. In the
second one `<result>` is what the first one printed, quoted for a shell.
"""

import re
import shlex
from collections.abc import Iterator

from simulator.openai.conversation import last_words, latest_results
from simulator.openai.requests import ChatRequest, Tool
from simulator.wire import Json

_COMMAND = re.compile(r"\brun `(?P<command>[^`]+)`", re.IGNORECASE)
_NAMES = ("cmd", "command")
_RESULT = "<result>"
# Clients tell how a command ended before they quote what it printed.
_PRINTED = re.compile(r"\A.*?^Output:\n", re.DOTALL | re.MULTILINE)


def next_command(request: ChatRequest) -> tuple[str, Json] | None:
    """The tool that runs the next of the commands, and its arguments; None if there is no such tool or command."""
    place = next(_places(request.tools), None) if request.tool_choice != "none" else None
    if place is None:
        return None
    commands = [match["command"] for match in _COMMAND.finditer(last_words(request.messages))]
    done = _results_since_the_user(request.messages)
    if done >= len(commands):
        return None
    name, parameter = place
    return name, {parameter: commands[done].replace(_RESULT, shlex.quote(_printed(request.messages)))}


def _places(tools: list[Tool]) -> Iterator[tuple[str, str]]:
    for tool in tools:
        properties = tool.parameters.get("properties")
        for parameter in _NAMES:
            described = properties.get(parameter) if isinstance(properties, dict) else None
            if isinstance(described, dict) and described.get("type") == "string":
                yield tool.name, parameter


def _results_since_the_user(messages: list[Json]) -> int:
    count = 0
    for message in reversed(messages):
        if message.get("role") == "user":
            break
        count += message.get("role") == "tool"
    return count


def _printed(messages: list[Json]) -> str:
    results = latest_results(messages)
    return _PRINTED.sub("", results[-1]).strip() if results else ""
