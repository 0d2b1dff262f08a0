"""What an upstream adds to OpenAI's fields, such as `extra_content` or `reasoning_details`, put together from deltas.

The upstream may want it back exactly as it came, for example because it is signed.
"""

import logging
from collections.abc import Collection
from typing import Any, Final

import orjson

from app.chat_models.protocol import JsonObject

logger = logging.getLogger(__name__)

# Of one answer, in bytes of JSON. Signed reasoning has some hundred thousand.
MOST_BYTES: Final = 1024 * 1024

# Texts that name something. Servers repeat them in every delta; other texts come in pieces.
_LABELS = frozenset(
    {"id", "type", "format", "role", "name", "object", "status", "kind", "index", "model", "provider", "version"}
    | {"language", "encoding", "mime_type", "mimeType", "media_type"}
)
_LABEL_ENDS = ("_id", "_type", "Id", "Type")
# The field of a list's items that grows from delta to delta although nothing numbers the items.
_THINKING = "thinking"
# A text of that length that comes again, whole, is a repetition and no further piece.
_SHORTEST_REPETITION = 16


def additions_of(fields: JsonObject, known: Collection[str]) -> JsonObject:
    """The fields that are not known, without empty ones."""
    return {name: value for name, value in fields.items() if name not in known and value not in (None, "", [], {})}


class Room:
    """How much may still be kept of one answer, in bytes of JSON."""

    def __init__(self) -> None:
        self._left = MOST_BYTES

    def take(self, fields: JsonObject) -> bool:
        """Take the room that the fields need. False if there is not enough."""
        size = len(orjson.dumps(fields))
        is_enough = size <= self._left
        if is_enough:
            self._left -= size
        elif self._left >= 0:
            logger.warning("upstream_additions_left_out", extra={"fields": sorted(fields), "limit": MOST_BYTES})
            self._left = -1
        return is_enough


class Additions:
    """Fields that come in deltas: texts are joined, objects merged, lists merged by `index` or appended.

    Of anything else the last value counts. If there is no room for all of them, none is kept: a part of what is signed
    is worth nothing.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._fields: JsonObject = {}
        self._is_complete = True

    def add(self, fields: JsonObject) -> None:
        """Add the fields of one delta."""
        if not fields or not self._is_complete:
            return
        self._is_complete = self._room.take(fields)
        if not self._is_complete:
            self._fields = {}
            return
        for name, value in fields.items():
            self._fields[name] = _merged(self._fields.get(name), value, name)

    def value(self) -> JsonObject:
        """The fields so far, as one object."""
        whole: JsonObject = _whole(self._fields)
        return whole


class _Text:
    """A text in pieces, which are joined once."""

    __slots__ = ("pieces",)

    def __init__(self, piece: str) -> None:
        self.pieces = [piece]

    def add(self, piece: str, name: str) -> None:
        if name in _LABELS or name.endswith(_LABEL_ENDS):
            self.pieces = [piece or self.pieces[0]]
        elif not (len(piece) >= _SHORTEST_REPETITION and self.pieces == [piece]):
            self.pieces.append(piece)


class _List:
    """A list whose items come in pieces."""

    __slots__ = ("items", "numbered")

    def __init__(self, items: list[Any]) -> None:
        self.items: list[Any] = []
        self.numbered: dict[tuple[Any, Any], JsonObject] = {}
        self.extend(items)

    def extend(self, items: list[Any]) -> None:
        # Items of one delta are never pieces of each other.
        partners = [self._partner(item, is_first=position == 0) for position, item in enumerate(items)]
        for item, partner in zip(items, partners, strict=True):
            merged = _merged(partner, item, "")
            if partner is None:
                self.items.append(merged)
            if (number := _number(item)) is not None:
                self.numbered[number, _type(item)] = self.numbered[number, None] = merged

    def _partner(self, item: Any, *, is_first: bool) -> JsonObject | None:
        """The item that this one continues, if there is one."""
        if not isinstance(item, dict):
            return None
        if (number := _number(item)) is not None:
            found = self.numbered.get((number, _type(item)))
            return found if found is not None and _may_be_one(found, item) else None
        last = self.items[-1] if is_first and self.items else None
        return last if isinstance(last, dict) and _continues_thinking(last, item) else None


def _number(item: Any) -> int | None:
    number = item.get("index") if isinstance(item, dict) else None
    return number if isinstance(number, int) else None


def _type(item: JsonObject) -> str | None:
    kind = item.get("type")
    return kind if isinstance(kind, str) else None


def _may_be_one(known: JsonObject, item: JsonObject) -> bool:
    """Whether nothing but the number says that they are the same item: two ids are two items."""
    known_id = _whole(known.get("id"))
    return not known_id or not item.get("id") or known_id == item["id"]


def _continues_thinking(last: JsonObject, item: JsonObject) -> bool:
    """Whether a thinking block goes on. A signature ends it."""
    is_thinking = _THINKING in last and _THINKING in item and "index" not in last
    return is_thinking and _whole(last.get("type")) == item.get("type") and not _whole(last.get("signature"))


def _merged(known: Any, value: Any, name: str) -> Any:
    """The known value, changed by a further piece. `name` is the field."""
    if value is None:
        return known
    if isinstance(known, _Text) and isinstance(value, str):
        known.add(value, name)
    elif isinstance(known, dict) and isinstance(value, dict):
        for key, each in value.items():
            known[key] = _merged(known.get(key), each, key)
    elif isinstance(known, _List) and isinstance(value, list):
        known.extend(value)
    else:
        return _opened(value)
    return known


def _opened(value: Any) -> Any:
    """The value in a form to which pieces can be added."""
    if isinstance(value, str):
        return _Text(value)
    if isinstance(value, dict):
        return {key: _opened(each) for key, each in value.items()}
    return _List(value) if isinstance(value, list) else value


def _whole(value: Any) -> Any:
    """The value as JSON again."""
    if isinstance(value, _Text):
        return "".join(value.pieces)
    if isinstance(value, _List):
        return [_whole(item) for item in value.items]
    return {key: _whole(each) for key, each in value.items()} if isinstance(value, dict) else value
