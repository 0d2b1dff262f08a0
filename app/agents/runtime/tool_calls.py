from dataclasses import dataclass
from typing import Any

import orjson

from app.chat_models.protocol import JsonObject
from app.core.crypto import new_id


@dataclass(frozen=True)
class CallPiece:
    """A piece of a call's arguments; `position` is the call's among those of the answer.

    `is_first` says that the call begins with this piece.
    """

    position: int
    is_first: bool
    arguments: str


class Calls:
    """The tool calls of one answer, assembled from their pieces."""

    def __init__(self) -> None:
        self.all: list[JsonObject] = []
        self._positions: dict[tuple[int | None, str], int] = {}

    def take(self, raw: JsonObject) -> CallPiece:
        """Add a piece of a call, or a whole call, in OpenAI's form.

        Raises:
            TypeError: its id, name or arguments are not text.
        """
        function = raw.get("function") or {}
        call_id, name, arguments = (raw.get("id") or "", function.get("name") or "", function.get("arguments") or "")
        if not all(isinstance(text, str) for text in (call_id, name, arguments)):
            raise TypeError("the id, name and arguments of a call must be text")
        position = self._position_of(raw.get("index"), call_id, name)
        is_first = position == len(self.all)
        if is_first:
            self._begin(call_id, name)
        self.all[position]["function"]["arguments"] += arguments
        return CallPiece(position, is_first, arguments)

    def _begin(self, call_id: str, name: str) -> None:
        # If an id is missing or repeated, a result could not be matched to its call.
        is_usable = call_id and all(call["id"] != call_id for call in self.all)
        function = {"name": name, "arguments": ""}
        self.all.append({"id": call_id if is_usable else new_id("call"), "type": "function", "function": function})

    def _position_of(self, index: Any, call_id: str, name: str) -> int:
        """Which call a piece belongs to: one of those so far, or the next one.

        Some servers send no index, or 0 for every call. With those, a new id together with a name begins a call. A new
        id alone does not, because other servers change the id of a call between its pieces.
        """
        number = index if isinstance(index, int) and index >= 0 else None
        position = self._positions.get((number, call_id)) if call_id else None
        if position is None and not (call_id and name):
            position = self._positions.get((number, ""))
        if position is None:
            position = len(self.all)
        # The next piece may have the index and the id, only one of them, or neither: then it continues this call.
        for key in ((number, call_id), (number, ""), (None, call_id), (None, "")):
            self._positions[key] = position
        return position


def readable(call: JsonObject) -> JsonObject:
    """The call with arguments that every model accepts: `{}` if they are not a JSON object, for example if cut off."""
    try:
        is_whole = isinstance(orjson.loads(call["function"]["arguments"]), dict)
    except orjson.JSONDecodeError:
        is_whole = False
    return call if is_whole else {**call, "function": {**call["function"], "arguments": "{}"}}
