from typing import Any, Final

import orjson

from app.chat_models.additions import Additions, Room
from app.chat_models.protocol import JsonObject

NO_ARGUMENTS: Final = "{}"

# Providers refuse a call without a name.
_UNNAMED = "unnamed"
# How often the arguments of one call are looked at to see whether they are whole. Nearly always once is enough.
_MOST_CHECKS = 16


class CallInPieces:
    """One tool call of an answer, as far as its pieces have come.

    Attributes:
        id: what the client and the model know the call by.
        given_id: what the upstream has named it, or empty.
        name: the tool that it calls, as far as it is known.
        additions: what the upstream has added to the call.
        function_additions: what it has added to the call's function.
    """

    def __init__(self, call_id: str, given_id: str, room: Room) -> None:
        self.id = call_id
        self.given_id = given_id
        self.name = ""
        self.additions = Additions(room)
        self.function_additions = Additions(room)
        self._pieces: list[str] = []
        self._size = 0
        self._says_none = False
        self._checks_left = _MOST_CHECKS

    @property
    def has_begun_arguments(self) -> bool:
        """Whether something of its arguments has come, even if only that it has none."""
        return self._size > 0 or self._says_none

    @property
    def says_it_has_none(self) -> bool:
        """Whether the model has written an empty object, and nothing else, as its arguments."""
        return self._says_none and not self._size

    @property
    def is_anything(self) -> bool:
        """Whether it is more than the announcement of a call that never came."""
        return bool(self.name) or self.has_begun_arguments

    @property
    def arguments(self) -> str:
        """What has come of its arguments."""
        return "".join(self._pieces)

    def whole(self) -> JsonObject:
        """The call in OpenAI's form, once all of it has come."""
        return self._with_arguments(self.arguments or (NO_ARGUMENTS if self._says_none else ""))

    def so_far(self) -> JsonObject:
        """What has come of the call, in OpenAI's form."""
        return self._with_arguments(self.arguments)

    def _with_arguments(self, arguments: str) -> JsonObject:
        function = {"name": self.name or _UNNAMED, "arguments": arguments, **self.function_additions.value()}
        return {"id": self.id, "type": "function", "function": function, **self.additions.value()}

    def add_name(self, name: str) -> int:
        """Add a piece of its name, or the name again, as some servers send with each piece. The bytes that are new."""
        if not name or name == self.name or (self.name and self.has_begun_arguments):
            return 0
        known = len(self.name.encode())
        self.name = name if name.startswith(self.name) else self.name + name
        return len(self.name.encode()) - known

    def add_arguments(self, given: Any) -> tuple[str, int]:
        """Add a piece of its arguments, in whatever form. The text that is new of them, and the bytes that are.

        An empty object may be all, or only stand for what is to come: it is no text until the call is whole.
        """
        text = _as_text(given)
        # A value comes whole: after a text, it is the same once more.
        if not text or (self._size and not isinstance(given, str)) or self._is_repetition(text):
            return "", 0
        if text.strip() == NO_ARGUMENTS and not self._size:
            self._says_none = True
            return "", len(NO_ARGUMENTS)
        self._pieces.append(text)
        self._size += len(text)
        return text, len(text.encode())

    def is_left_by(self, given: Any) -> bool:
        """Whether these arguments are those of another call, because this one's are whole."""
        text = _as_text(given).strip()
        return text.startswith("{") and not self._is_repetition(text) and self._is_whole()

    def _is_repetition(self, text: str) -> bool:
        """Whether the text is all of the arguments once more."""
        if self.says_it_has_none:
            return text == NO_ARGUMENTS
        return len(text) == self._size and text.startswith("{") and text.endswith("}") and text == self.arguments

    def _is_whole(self) -> bool:
        if self.says_it_has_none:
            return True
        if not self._checks_left or not self._pieces or not self._pieces[-1].rstrip().endswith("}"):
            return False
        self._checks_left -= 1
        return is_object(self.arguments)


def _as_text(given: Any) -> str:
    if isinstance(given, str):
        return given
    # PHP writes an empty object as a list.
    return "" if given is None else NO_ARGUMENTS if given in ({}, []) else orjson.dumps(given).decode()


def is_object(arguments: str) -> bool:
    """Whether the arguments are a JSON object."""
    try:
        return isinstance(orjson.loads(arguments), dict)
    except orjson.JSONDecodeError:
        return False
