from dataclasses import dataclass
from typing import Any

import orjson

from app.chat_models.protocol import JsonObject
from app.core.crypto import new_id


@dataclass(frozen=True)
class CallPiece:
    """A piece of a call's arguments, and the call's place among the answer's; `is_first` where the piece begins it."""

    place: int
    is_first: bool
    arguments: str


class Calls:
    """The tool calls of one answer, put together from their pieces."""

    def __init__(self) -> None:
        self.all: list[JsonObject] = []
        self._places: dict[tuple[int | None, str], int] = {}

    def take(self, raw: JsonObject) -> CallPiece:
        """Add a piece of a call in OpenAI's form, or a whole one."""
        function = raw.get("function") or {}
        call_id, name, arguments = (raw.get("id") or "", function.get("name") or "", function.get("arguments") or "")
        if not all(isinstance(text, str) for text in (call_id, name, arguments)):
            raise TypeError("a call's id, name and arguments are texts")
        place = self._place_of(raw.get("index"), call_id, name)
        is_first = place == len(self.all)
        if is_first:
            self._begin(call_id, name)
        self.all[place]["function"]["arguments"] += arguments
        return CallPiece(place, is_first, arguments)

    def _begin(self, call_id: str, name: str) -> None:
        # With an id that is missing or given twice, nobody could tell whose a result is.
        is_usable = call_id and all(call["id"] != call_id for call in self.all)
        function = {"name": name, "arguments": ""}
        self.all.append({"id": call_id if is_usable else new_id("call"), "type": "function", "function": function})

    def _place_of(self, index: Any, call_id: str, name: str) -> int:
        """Which call a piece belongs to: one of those so far, or the next one.

        Some servers send no index, or 0 for every call: there a new id with a name begins a call. A new id alone
        does not, because others change a call's id on its way.
        """
        number = index if isinstance(index, int) and index >= 0 else None
        place = self._places.get((number, call_id)) if call_id else None
        if place is None and not (call_id and name):
            place = self._places.get((number, ""))
        if place is None:
            place = len(self.all)
        # To be found by index and id, by either alone, and as the one before where a piece has neither.
        for key in ((number, call_id), (number, ""), (None, call_id), (None, "")):
            self._places[key] = place
        return place


def readable(call: JsonObject) -> JsonObject:
    """The call with arguments that every model takes: what is no JSON object, cut short for example, becomes empty."""
    try:
        is_whole = isinstance(orjson.loads(call["function"]["arguments"]), dict)
    except orjson.JSONDecodeError:
        is_whole = False
    return call if is_whole else {**call, "function": {**call["function"], "arguments": "{}"}}
