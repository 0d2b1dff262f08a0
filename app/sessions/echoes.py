"""The form in which messages are compared: what a client sends back of them, without what clients change.

Pure functions over messages in OpenAI's form.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from app.sessions.messages import MessageRole, StoredMessage, WireMessage

# Between the texts of several model calls in one answer.
_BETWEEN_TEXTS = "\n\n"
_SYSTEM = frozenset({MessageRole.SYSTEM, MessageRole.DEVELOPER})
# Before content that is not only text, so that no text equals it: no text contains it.
_PARTS = "\0"
# What some clients write with its default, and others leave out.
_DEFAULTED = frozenset({"detail"})
# In lines: more than an answer has, and few enough to be looked at in any text.
_MOST_LINKS = 400
# The tags in which models write what they think, if their server does not take it out of the text.
_THOUGHTS = ("think", "thinking", "thought")
# In characters: what takes a few milliseconds at most.
_MOST_RESPACED = 64 * 1024
# What voice agents put at the end of a text that was cut.
_ELLIPSIS = " .…-"


class Echo(NamedTuple):
    """A message in the form in which it is compared.

    Attributes:
        role: its role; `system` for `developer`, too.
        content: its text, or its parts as JSON.
        calls: the name and the arguments of each of its tool calls.
        name: of a user's message, the name that the client has given to the user.
    """

    role: str
    content: str
    calls: tuple[tuple[str, str], ...] = ()
    name: str | None = None

    @property
    def gist(self) -> "Echo":
        """The echo without its text if it has calls: some clients send no text back beside calls."""
        return Echo(self.role, "", self.calls) if self.calls else self

    def is_of(self, stored: "Echo") -> bool:
        """Whether a client may have been sent `stored` if it sends this."""
        return self == stored or (bool(self.calls) and not self.content and self.gist == stored.gist)

    def is_cut_from(self, stored: "Echo") -> bool:
        """Whether this is the beginning of an answer, as of one that was interrupted while it was spoken."""
        are_answers = self.role == stored.role == MessageRole.ASSISTANT
        return are_answers and not self.calls and stored.content.startswith(self.content.rstrip(_ELLIPSIS))


class Shown(NamedTuple):
    """What a client knows as one message: a message of its own, or all that the agents of one turn have said.

    `call_ids` are the stored ids of the calls in its echo.
    """

    rows: Sequence[StoredMessage]
    echo: Echo
    call_ids: Sequence[str]


def is_system(role: str) -> bool:
    """Whether a message of that role tells the model how to behave, and is not part of the talk."""
    return role in _SYSTEM


def in_groups(rows: Iterable[StoredMessage]) -> list[Sequence[StoredMessage]]:
    """Stored messages, those together that a client knows as one, in order."""
    groups: list[list[StoredMessage]] = []
    for row in rows:
        last = groups[-1][-1] if groups else None
        if last and row.agent is not None and last.agent is not None and last.turn_id == row.turn_id:
            groups[-1].append(row)
        else:
            groups.append([row])
    return list(groups)


def as_shown(group: Sequence[StoredMessage]) -> Shown:
    """A group of stored messages in the form in which the client knows it."""
    message = group[0].in_wire_form() if group[0].agent is None else _answer(group)
    return Shown(group, echo_of(message), [str(call.get("id")) for call in message.get("tool_calls") or ()])


def _answer(rows: Sequence[StoredMessage]) -> dict[str, Any]:
    """What the client has seen of the messages of one turn's agents: their texts, and the calls that are left to it."""
    said = [row for row in rows if row.role == MessageRole.ASSISTANT]
    texts = [row.content for row in said if isinstance(row.content, str) and row.content]
    answered = {row.tool_call_id for row in rows if row.role == MessageRole.TOOL}
    calls = [call for call in (said[-1].tool_calls if said else None) or () if call.get("id") not in answered]
    return {"role": MessageRole.ASSISTANT.value, "content": _BETWEEN_TEXTS.join(texts), "tool_calls": calls}


def echo_of(message: WireMessage) -> Echo:
    """The message in the form in which it is compared."""
    role, content = message["role"], _content(message.get("content"))
    if role == MessageRole.ASSISTANT:
        content = _without_links(_without_thoughts(content))
    return Echo(
        role=MessageRole.SYSTEM if role in _SYSTEM else role,
        content=_in_single_spaces(content),
        calls=tuple(_call(call) for call in message.get("tool_calls") or ()),
        name=(message.get("name") or None) if role == MessageRole.USER else None,
    )


def _content(content: Any) -> str:
    if not isinstance(content, list):
        return str(content or "").strip()
    parts = [_part(part) for part in content if part.get("type") != "refusal"]
    if all(isinstance(part, str) for part in parts):
        return "".join(parts).strip()
    return _PARTS + orjson.dumps(parts, option=orjson.OPT_SORT_KEYS).decode()


def _part(part: Mapping[str, Any]) -> Any:
    """A part without what clients add to it, such as `cache_control`: its text, or what it has under its type."""
    kind = part.get("type")
    if kind == "text":
        return str(part.get("text") or "")
    held = part.get(str(kind))
    if isinstance(held, dict):
        held = {name: value for name, value in held.items() if value is not None and name not in _DEFAULTED}
    return [kind, held]


def _in_single_spaces(text: str) -> str:
    """The text with each run of white space as one space: clients send back what they have rendered."""
    is_long = len(text) > _MOST_RESPACED
    return text if is_long or text.startswith(_PARTS) else " ".join(text.split())


def _without_thoughts(text: str) -> str:
    """The text without what a model has thought before it, if that stands in the text: clients hide it."""
    for tag in _THOUGHTS:
        if text.startswith(f"<{tag}>"):
            _, is_ended, answer = text.partition(f"</{tag}>")
            return answer.lstrip() if is_ended else text
    return text


def _without_links(text: str) -> str:
    """The text without the lines at its end that are nothing but a link."""
    end = len(text)
    for _ in range(_MOST_LINKS):
        start = text.rfind("\n", 0, end) + 1
        line = text[start:end].strip()
        if end == 0 or (line and not _is_link(line)):
            break
        end = max(0, start - 1)
    return text[:end].rstrip()


def _is_link(line: str) -> bool:
    return line.startswith(("[", "![")) and "](" in line and line.endswith(")")


def _call(call: Mapping[str, Any]) -> tuple[str, str]:
    function = call.get("function")
    if not isinstance(function, Mapping):
        return "", ""
    return str(function.get("name")), _arguments(function.get("arguments"))


def _arguments(arguments: Any) -> str:
    """The arguments in one spelling; `{}` if they are no JSON object, as they are stored then."""
    try:
        values = orjson.loads(arguments) if isinstance(arguments, str) else arguments
        return orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode() if isinstance(values, dict) else "{}"
    except orjson.JSONDecodeError:
        return "{}"
    except orjson.JSONEncodeError:  # nested too deeply to be written again
        return str(arguments)
