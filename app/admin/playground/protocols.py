"""The two APIs in whose form the playground asks for a turn: how words, tools and settings are written in each.

Pure functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.chat.openai.request import ChatRequest
from app.chat.responses.request import ResponseRequest

_Json = dict[str, Any]
# What is decided by the playground, or has a field of its own, in either form.
_TAKEN: Final = frozenset(
    {"model", "messages", "input", "stream", "stream_options", "tools", "session_id", "temperature", "top_p"}
)


@dataclass(frozen=True)
class Protocol:
    """One of the APIs.

    Attributes:
        name: what the form calls it.
        label: what its reader is told.
        request: how the API reads a body.
        max_tokens: what it calls the limit of an answer's length.
        taken: the parameters that are none of the form's further ones.
    """

    name: str
    label: str
    request: type[ChatRequest] | type[ResponseRequest]
    max_tokens: str
    taken: frozenset[str]

    def body(self, model: str, results: Sequence[tuple[str, str]], text: str, more: Mapping[str, Any]) -> _Json:
        """The body of a request.

        Args:
            model: the model's name.
            results: the ids of the calls of the client's tools that are answered, and the answers.
            text: what the user says then; empty if nothing.
            more: the other parameters.
        """
        if self is CHAT:
            said: list[_Json] = [{"role": "tool", "tool_call_id": call, "content": each} for call, each in results]
            return {"model": model, "messages": [*said, *_words(text)], **more}
        outputs = [{"type": "function_call_output", "call_id": call, "output": each} for call, each in results]
        return {"model": model, "input": [*outputs, *_words(text)] if outputs else text, **more}

    def tool(self, given: Any) -> Any:
        """A function in this API's form, whichever of the two it was given in."""
        if not isinstance(given, dict) or given.get("type") != "function":
            return given
        function = given.get("function")
        if self is RESPONSES and isinstance(function, dict):
            return {"type": "function", **function}
        if self is CHAT and function is None:
            return {"type": "function", "function": {name: each for name, each in given.items() if name != "type"}}
        return given


def _words(text: str) -> list[_Json]:
    return [{"role": "user", "content": text}] if text else []


CHAT: Final = Protocol(
    "chat",
    "Chat Completions",
    ChatRequest,
    "max_tokens",
    _TAKEN | {"elevenlabs_extra_body", "max_tokens"},
)
RESPONSES: Final = Protocol(
    "responses",
    "Responses",
    ResponseRequest,
    "max_output_tokens",
    _TAKEN | {"conversation", "previous_response_id", "store", "background", "max_output_tokens"},
)
PROTOCOLS: Final = (CHAT, RESPONSES)


def protocol_of(name: str) -> Protocol:
    """The protocol of this name; chat completions if there is none."""
    return next((each for each in PROTOCOLS if each.name == name), CHAT)
