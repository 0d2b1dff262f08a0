"""The tool calls of an answer, put together from pieces as servers of every kind send them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from app.agents.runtime.call_in_pieces import NO_ARGUMENTS, CallInPieces, is_object
from app.chat_models.additions import Room, additions_of
from app.chat_models.protocol import JsonObject
from app.core.crypto import new_id

# Of one answer. What a model calls beyond them is not taken, and the answer counts as cut.
MOST_CALLS: Final = 1000

_KNOWN_IN_CALLS = frozenset({"index", "id", "type", "function"})
_KNOWN_IN_FUNCTIONS = frozenset({"name", "arguments"})


@dataclass(frozen=True)
class CallPiece:
    """A piece of a call.

    Attributes:
        call: the call that it belongs to, with this piece.
        position: the call's among those of the answer.
        size: the bytes that the piece adds to the call's name and arguments.
        arguments: the piece of its arguments.
        additions: what the upstream has added to the call.
        function_additions: what it has added to the call's function.
    """

    call: CallInPieces
    position: int
    size: int
    arguments: str
    additions: JsonObject
    function_additions: JsonObject


class Calls:
    """The tool calls of one answer, assembled from their pieces.

    `room` is what the answer may keep of additions. `client_tools` are the names of the client's tools. `left_out` is
    how many calls the answer has beyond `MOST_CALLS`.
    """

    def __init__(self, room: Room, client_tools: Collection[str] = ()) -> None:
        self.left_out = 0
        self._room = room
        self._calls: list[CallInPieces] = []
        self._ids: set[str] = set()
        self._positions: dict[tuple[int | None, str], int] = {}
        # Names of which none can be the beginning of another tool's.
        self._whole_names = {
            name for name in client_tools if not any(other != name and other.startswith(name) for other in client_tools)
        }

    def all(self) -> list[JsonObject]:
        """The calls so far, in OpenAI's form."""
        return [call.whole() for call in self._calls if call.is_anything]

    def each(self) -> Iterator[tuple[int, CallInPieces]]:
        """The calls so far with their positions."""
        return enumerate(self._calls)

    def is_named(self, call: CallInPieces) -> bool:
        """Whether the call's name is whole: servers that cut names send the arguments after them."""
        return call.has_begun_arguments or call.name in self._whole_names

    def take(self, raws: list[Any]) -> list[CallPiece]:
        """Add the pieces of one delta: pieces of calls, or whole calls, in OpenAI's form. Those that were taken.

        Arguments that are no text are taken as the text of their JSON.

        Raises:
            TypeError: an id or a name is not text.
        """
        pieces, touched = [], set[int]()
        # Servers that write a list by its indexes leave null where nothing is new.
        for raw in raws:
            piece = None if raw is None else self._take(raw, touched)
            if piece is not None:
                touched.add(piece.position)
                pieces.append(piece)
        return pieces

    def _take(self, raw: JsonObject, touched: Collection[int]) -> CallPiece | None:
        function = raw.get("function") or {}
        call_id, name = _as_id(raw.get("id")), function.get("name") or ""
        if not isinstance(name, str):
            raise TypeError("the name of a call must be text")
        name = name.strip()
        number = _number(raw.get("index"))
        position = self._position_of(number, call_id, name)
        if position is not None and self._is_left(position, call_id, name, function.get("arguments"), touched):
            position = None
        if self.left_out or (position is None and len(self._calls) == MOST_CALLS):
            # Which call a further piece belongs to is not remembered any more.
            self.left_out += bool(name)
            return None
        if position is None:
            position = self._begin(call_id)
        self._remember(number, call_id, position)
        return self._taken(raw, function, name, position)

    def _taken(self, raw: JsonObject, function: JsonObject, name: str, position: int) -> CallPiece:
        call = self._calls[position]
        named = call.add_name(name)
        arguments, size = call.add_arguments(function.get("arguments"))
        additions = additions_of(raw, _KNOWN_IN_CALLS)
        function_additions = additions_of(function, _KNOWN_IN_FUNCTIONS)
        call.additions.add(additions)
        call.function_additions.add(function_additions)
        return CallPiece(call, position, named + size, arguments, additions, function_additions)

    def _begin(self, call_id: str) -> int:
        # If an id is missing or repeated, a result could not be matched to its call.
        is_usable = call_id and call_id not in self._ids
        self._calls.append(CallInPieces(call_id if is_usable else new_id("call"), call_id, self._room))
        self._ids.add(self._calls[-1].id)
        return len(self._calls) - 1

    def _position_of(self, number: int | None, call_id: str, name: str) -> int | None:
        """Which call a piece may belong to; None if it begins one.

        Some servers send no index, or 0 for every call. With those, a new id together with a name begins a call. A new
        id alone does not, because other servers change the id of a call between its pieces.
        """
        position = self._positions.get((number, call_id)) if call_id else None
        if position is None and not (call_id and name):
            position = self._positions.get((None, call_id)) if call_id else None
            position = self._positions.get((number, "")) if position is None else position
        is_bare = not call_id and not name
        return self._positions.get((None, "")) if position is None and is_bare else position

    def _is_left(self, position: int, call_id: str, name: str, arguments: Any, touched: Collection[int]) -> bool:
        """Whether the piece begins another call although nothing but its name and arguments tells it from this one."""
        call = self._calls[position]
        if not name or not call.name:
            return False
        is_same_id = bool(call_id) and call_id == call.given_id
        # Two entries of one delta are two calls.
        if position in touched and not is_same_id:
            return True
        if name != call.name:
            return self.is_named(call)
        return not (is_same_id and call.says_it_has_none) and call.is_left_by(arguments)

    def _remember(self, number: int | None, call_id: str, position: int) -> None:
        # The next piece may have the index and the id, only one of them, or neither: then it continues this call.
        for key in ((number, call_id), (number, ""), (None, call_id), (None, "")):
            self._positions[key] = position


def readable(call: JsonObject) -> JsonObject:
    """The call with arguments that every model accepts: `{}` if they are not a JSON object, for example if cut off."""
    return call if is_object(call["function"]["arguments"]) else with_arguments(call, NO_ARGUMENTS)


def with_arguments(call: JsonObject, arguments: str) -> JsonObject:
    """The call with other arguments."""
    return {**call, "function": {**call["function"], "arguments": arguments}}


def _number(index: Any) -> int | None:
    """The index, if it is one: servers in languages without whole numbers send `1.0` or `"1"`."""
    if isinstance(index, str) and index.isdecimal() and len(index) <= len(str(MOST_CALLS)):
        return int(index)
    is_whole = isinstance(index, int) or (isinstance(index, float) and index.is_integer())
    return int(index) if is_whole and index >= 0 else None


def _as_id(given: Any) -> str:
    """The id as text. Raises TypeError if it is neither text nor a number."""
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    if given is not None and not isinstance(given, str):
        raise TypeError("the id of a call must be text")
    return given or ""
