from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from app.chat_models.additions import Additions, Room, additions_of
from app.chat_models.protocol import JsonObject
from app.core.crypto import new_id

# Of one answer. What a model calls beyond them is not taken, and the answer counts as cut.
MOST_CALLS: Final = 1000

_NO_ARGUMENTS: Final = "{}"
_KNOWN_IN_CALLS = frozenset({"index", "id", "type", "function"})
_KNOWN_IN_FUNCTIONS = frozenset({"name", "arguments"})


@dataclass(frozen=True)
class CallPiece:
    """A piece of a call; `position` is the call's among those of the answer.

    Attributes:
        position: which call it belongs to.
        is_first: whether the call begins with it.
        arguments: the piece of its arguments.
        additions: what the upstream has added to the call.
        function_additions: what it has added to the call's function.
    """

    position: int
    is_first: bool
    arguments: str
    additions: JsonObject = field(default_factory=dict)
    function_additions: JsonObject = field(default_factory=dict)


class _Call:
    """One call of an answer, in pieces."""

    def __init__(self, call_id: str, name: str, room: Room) -> None:
        self.id = call_id
        self.name = name
        self.pieces: list[str] = []
        self.additions = Additions(room)
        self.function_additions = Additions(room)

    def whole(self) -> JsonObject:
        function = {"name": self.name, "arguments": "".join(self.pieces), **self.function_additions.value()}
        return {"id": self.id, "type": "function", "function": function, **self.additions.value()}


class Calls:
    """The tool calls of one answer, assembled from their pieces.

    `room` is what the answer may keep of additions. `left_out` is how many calls the answer has beyond `MOST_CALLS`.
    """

    def __init__(self, room: Room) -> None:
        self.left_out = 0
        self._room = room
        self._calls: list[_Call] = []
        self._ids: set[str] = set()
        self._positions: dict[tuple[int | None, str], int] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def all(self) -> list[JsonObject]:
        """The calls so far, in OpenAI's form."""
        return [call.whole() for call in self._calls]

    def name_at(self, position: int) -> str:
        """The name of the tool that the call at this position calls."""
        return self._calls[position].name

    def id_at(self, position: int) -> str:
        """The id of the call at this position."""
        return self._calls[position].id

    def are_without_arguments(self) -> list[int]:
        """The positions of the calls that have no arguments at all."""
        return [position for position, call in enumerate(self._calls) if not any(call.pieces)]

    def take(self, raw: JsonObject) -> CallPiece | None:
        """Add a piece of a call, or a whole call, in OpenAI's form. None if it is one too many.

        Arguments that are no text are taken as the text of their JSON.

        Raises:
            TypeError: its id or name is not text.
        """
        function = raw.get("function") or {}
        call_id, name = raw.get("id") or "", function.get("name") or ""
        if not isinstance(call_id, str) or not isinstance(name, str):
            raise TypeError("the id and the name of a call must be text")
        position = self._position_of(raw.get("index"), call_id, name)
        is_first = position == len(self._calls)
        if self.left_out or (is_first and len(self._calls) == MOST_CALLS):
            # Which call a further piece belongs to is not remembered any more.
            self.left_out += bool(name)
            return None
        self._remember(raw.get("index"), call_id, position)
        if is_first:
            self._begin(call_id, name)
        return self._taken(raw, function, position, is_first=is_first)

    def _taken(self, raw: JsonObject, function: JsonObject, position: int, *, is_first: bool) -> CallPiece:
        call = self._calls[position]
        arguments = _as_text(function.get("arguments"), is_first=not call.pieces)
        additions = additions_of(raw, _KNOWN_IN_CALLS)
        function_additions = additions_of(function, _KNOWN_IN_FUNCTIONS)
        if arguments:
            call.pieces.append(arguments)
        call.additions.add(additions)
        call.function_additions.add(function_additions)
        return CallPiece(position, is_first, arguments, additions, function_additions)

    def _begin(self, call_id: str, name: str) -> None:
        # If an id is missing or repeated, a result could not be matched to its call.
        is_usable = call_id and call_id not in self._ids
        self._calls.append(_Call(call_id if is_usable else new_id("call"), name, self._room))
        self._ids.add(self._calls[-1].id)

    def _position_of(self, index: Any, call_id: str, name: str) -> int:
        """Which call a piece belongs to: one of those so far, or the next one.

        Some servers send no index, or 0 for every call. With those, a new id together with a name begins a call. A new
        id alone does not, because other servers change the id of a call between its pieces.
        """
        number = _number(index)
        position = self._positions.get((number, call_id)) if call_id else None
        if position is None and not (call_id and name):
            position = self._positions.get((number, ""))
        return len(self._calls) if position is None else position

    def _remember(self, index: Any, call_id: str, position: int) -> None:
        # The next piece may have the index and the id, only one of them, or neither: then it continues this call.
        number = _number(index)
        for key in ((number, call_id), (number, ""), (None, call_id), (None, "")):
            self._positions[key] = position


def readable(call: JsonObject) -> JsonObject:
    """The call with arguments that every model accepts: `{}` if they are not a JSON object, for example if cut off."""
    try:
        is_whole = isinstance(orjson.loads(call["function"]["arguments"]), dict)
    except orjson.JSONDecodeError:
        is_whole = False
    return call if is_whole else with_arguments(call, _NO_ARGUMENTS)


def with_arguments(call: JsonObject, arguments: str) -> JsonObject:
    """The call with other arguments."""
    return {**call, "function": {**call["function"], "arguments": arguments}}


def _number(index: Any) -> int | None:
    return index if isinstance(index, int) and index >= 0 else None


def _as_text(arguments: Any, *, is_first: bool) -> str:
    """A piece of a call's arguments. Only the first can be a value: a further one would be the same value again."""
    if isinstance(arguments, str):
        return arguments
    # An empty object may be only the beginning, like an empty text.
    if arguments is None or arguments == {}:
        return ""
    return orjson.dumps(arguments).decode() if is_first else ""
