from itertools import groupby
from typing import Any

from app.chat_models.additions import Additions, Room
from app.chat_models.protocol import JsonObject

_PARTS = "parts"
# Gateways to other APIs leave the type as it is there, or leave it out.
_TEXT_TYPES = ("text", "output_text", None)


class AnswerText:
    """The content of an answer. Some servers send it in parts, and not all of them are texts: thoughts, for example.

    The client sees the texts. The model gets back what it has said as it came.
    """

    def __init__(self, room: Room) -> None:
        self._text = bytearray()
        self._parts = Additions(room)
        self._has_parts = False

    @property
    def text(self) -> str:
        return self._text.decode()

    def as_it_came(self) -> Any:
        """The content for the model: the text, or the parts if some of them are no texts."""
        parts = self._parts.value().get(_PARTS)
        return self.text if parts is None else _with_whole_texts(parts)

    def add(self, content: Any) -> str:
        """Add a piece of the content: text, parts or nothing. The text in it.

        Raises:
            AttributeError, KeyError, TypeError: it has another form.
        """
        if content is None or isinstance(content, str):
            piece = content or ""
            self.add_text(piece)
        elif isinstance(content, dict):
            raise TypeError("the content of an answer is text or a list")
        else:
            parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
            piece = "".join(part.get("text") or "" for part in parts if _is_text(part))
            self._add_parts(parts)
            self._text += piece.encode()
        return piece

    def add_text(self, piece: str) -> int:
        """Add a piece that is text. How long it is, in bytes of UTF-8."""
        if self._has_parts:
            self._add_part(piece)
        written = piece.encode()
        self._text += written
        return len(written)

    def _add_parts(self, content: list[Any]) -> None:
        if not self._has_parts and all(map(_is_text, content)):
            return
        if not self._has_parts:
            self._has_parts = True
            self._add_part(self.text)
        self._parts.add({_PARTS: content})

    def _add_part(self, text: str) -> None:
        if text and self._has_parts:
            self._parts.add({_PARTS: [{"type": "text", "text": text}]})


def _is_text(part: JsonObject) -> bool:
    """Whether the part is a text that the model says: not a thought, nor a reference."""
    return part.get("type") in _TEXT_TYPES


def _with_whole_texts(parts: list[Any]) -> list[Any]:
    """The parts, with one text instead of the pieces in which it has come."""
    whole: list[Any] = []
    for is_text, group in groupby(parts, lambda part: part.keys() == {"type", "text"}):
        pieces = list(group)
        whole += [{**pieces[0], "text": "".join(piece["text"] for piece in pieces)}] if is_text else pieces
    return whole
