"""The items of a request's input as messages of a chat. Pure functions.

What a model has said comes back as several items: its reasoning, its text, each of its calls. A chat model reads them
as one message, so that items of the model that follow each other are put together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.agents.runtime.events import REASONING
from app.chat.responses.output import response_of_item
from app.chat.responses.parts import content_of
from app.chat.responses.places import Place, refuse
from app.chat_models.protocol import JsonObject
from app.sessions.messages import MessageRole

_MOST_ITEMS = 5000
_ROLES = ("user", "system", "developer", "assistant")
# What the tools of other servers have left in a conversation, and lists of them. This server has no such tools, and
# what they have found is in the answers that followed.
_OF_OTHER_TOOLS = frozenset(
    {
        *("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"),
        *("computer_call", "computer_call_output", "local_shell_call", "local_shell_call_output"),
        *("shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output"),
        *("mcp_list_tools", "mcp_call", "mcp_approval_request", "mcp_approval_response"),
        *("tool_search_call", "tool_search_output"),
    }
)


@dataclass(frozen=True)
class SealedItem:
    """The `encrypted_content` of a reasoning item, and where it stands in the request."""

    text: str
    place: Place


@dataclass
class Conversation:
    """What is read of the input.

    Attributes:
        given: the input as the client has sent it.
        messages: the messages of a chat.
        places: of each of them, the index of the item that it begins with.
        sealed: what is to be opened of the reasoning.
        references: the items that only name one that is kept here, by their indexes, and its id.
        made_here: the ids of the responses whose calls are sent back.
    """

    given: Any
    messages: list[JsonObject] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    sealed: list[SealedItem] = field(default_factory=list)
    references: list[tuple[int, str]] = field(default_factory=list)
    made_here: set[str] = field(default_factory=set)
    _thoughts: list[str] = field(default_factory=list)
    _answer: JsonObject | None = None

    def add(self, message: JsonObject, index: int) -> None:
        """Add a message that is not the model's."""
        self._thoughts, self._answer = [], None
        self._append(message, index)

    def answer(self, index: int, *, is_text: bool) -> JsonObject:
        """The message of the model that the item belongs to. One that has a text already gets no second one."""
        if self._answer is None or (is_text and self._answer["content"] is not None):
            self._answer = {"role": "assistant", "content": None}
            if self._thoughts:
                self._answer[REASONING] = "\n\n".join(self._thoughts)
            self._thoughts = []
            self._append(self._answer, index)
        return self._answer

    def think(self, text: str) -> None:
        """Add what the model has thought before its next message."""
        self._thoughts.append(text)
        self._answer = None

    def _append(self, message: JsonObject, index: int) -> None:
        self.messages.append(message)
        self.places.append(index)


def read_input(given: Any) -> Conversation:
    """The messages of an input, which is a text or a list of items.

    Raises:
        ValidationError: it is neither, is empty, or an item is not complete.
    """
    read = Conversation(given)
    if isinstance(given, str):
        read.add({"role": "user", "content": given}, 0)
        return read
    if not isinstance(given, list) or not given:
        refuse((), "must be a text or a list with at least one item")
    if len(given) > _MOST_ITEMS:
        refuse((), f"has more than {_MOST_ITEMS} items")
    for index, item in enumerate(given):
        _read_item(read, item, index)
    if not read.messages and not read.references:
        refuse((), "has no message")
    _drop_old_thoughts(read.messages)
    return read


def _read_item(read: Conversation, item: Any, index: int) -> None:
    if not isinstance(item, dict):
        refuse((index,), "must be an object")
    # Messages may be written without a type.
    kind = item.get("type", "message" if "role" in item else None)
    if isinstance(kind, str) and kind in _OF_OTHER_TOOLS:
        return
    read_kind = _KINDS.get(kind) if isinstance(kind, str) else None
    if read_kind is None:
        refuse((index,), f"this server knows no items of type {str(kind)[:50]}")
    read_kind(read, item, index)


def _read_message(read: Conversation, item: JsonObject, index: int) -> None:
    role = item.get("role")
    if role not in _ROLES:
        refuse((index, "role"), f"must be one of: {', '.join(_ROLES)}")
    content = content_of(item.get("content"), role, (index, "content"))
    if role == MessageRole.ASSISTANT:
        read.answer(index, is_text=True)["content"] = content
    else:
        read.add({"role": role, "content": content}, index)


def _read_call(read: Conversation, item: JsonObject, index: int) -> None:
    function = {"name": _word(item, "name", index), "arguments": _text(item, "arguments", index)}
    _add_call(read, item, function, index)


def _read_custom_call(read: Conversation, item: JsonObject, index: int) -> None:
    # Of a tool whose argument is any text. Another server's model has made it.
    arguments = {"input": _text(item, "input", index)}
    _add_call(read, item, {"name": _word(item, "name", index), "arguments": orjson.dumps(arguments).decode()}, index)


def _add_call(read: Conversation, item: JsonObject, function: JsonObject, index: int) -> None:
    if response_id := response_of_item(item.get("id")):
        read.made_here.add(response_id)
    call = {"id": _word(item, "call_id", index), "type": "function", "function": function}
    read.answer(index, is_text=False).setdefault("tool_calls", []).append(call)


def _read_output(read: Conversation, item: JsonObject, index: int) -> None:
    call_id = _word(item, "call_id", index)
    content = content_of(item.get("output"), MessageRole.TOOL, (index, "output"))
    read.add({"role": "tool", "tool_call_id": call_id, "content": content}, index)


def _read_reasoning(read: Conversation, item: JsonObject, index: int) -> None:
    sealed = item.get("encrypted_content")
    if sealed is not None:
        read.sealed.append(SealedItem(_text(item, "encrypted_content", index), (index, "encrypted_content")))
    texts = [text for name in ("content", "summary") if (text := _thoughts_in(item.get(name), (index, name)))]
    if texts:
        read.think(texts[0])


def _read_reference(read: Conversation, item: JsonObject, index: int) -> None:
    read.references.append((index, _word(item, "id", index)))


def _thoughts_in(given: Any, place: Place) -> str:
    if given is None:
        return ""
    return str(content_of([_as_text(part) for part in _list(given, place)], MessageRole.ASSISTANT, place))


def _as_text(part: Any) -> Any:
    is_thought = isinstance(part, dict) and part.get("type") in ("reasoning_text", "summary_text")
    return {**part, "type": "text"} if is_thought else part


def _list(given: Any, place: Place) -> Sequence[Any]:
    if not isinstance(given, list):
        refuse(place, "must be a list of parts")
    return given


def _drop_old_thoughts(messages: Sequence[JsonObject]) -> None:
    """Leave out what the model has thought before the last message of the user: it is of use only to its own turn."""
    asked = [index for index, message in enumerate(messages) if message["role"] == MessageRole.USER]
    for message in messages[: asked[-1] if asked else 0]:
        message.pop(REASONING, None)


def _text(item: JsonObject, name: str, index: int) -> str:
    text = item.get(name)
    if not isinstance(text, str):
        refuse((index, name), "must be a text")
    return text


def _word(item: JsonObject, name: str, index: int) -> str:
    text = _text(item, name, index)
    if not text:
        refuse((index, name), "must not be empty")
    return text


_KINDS: Mapping[str, Callable[[Conversation, JsonObject, int], None]] = {
    "message": _read_message,
    "function_call": _read_call,
    "function_call_output": _read_output,
    "custom_tool_call": _read_custom_call,
    "custom_tool_call_output": _read_output,
    "reasoning": _read_reasoning,
    "item_reference": _read_reference,
}
