from itertools import groupby
from typing import Any

from app.chat_models.additions import Additions, Room

_PARTS = "parts"


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
            self._add_part(piece)
        else:
            piece = "".join(part["text"] for part in content if part.get("type") == "text")
            self._add_parts(content)
        self._text += piece.encode()
        return piece

    def _add_parts(self, content: list[Any]) -> None:
        if not self._has_parts and all(part.get("type") == "text" for part in content):
            return
        if not self._has_parts:
            self._has_parts = True
            self._add_part(self.text)
        self._parts.add({_PARTS: content})

    def _add_part(self, text: str) -> None:
        if text and self._has_parts:
            self._parts.add({_PARTS: [{"type": "text", "text": text}]})


def _with_whole_texts(parts: list[Any]) -> list[Any]:
    """The parts, with one text instead of the pieces in which it has come."""
    whole: list[Any] = []
    for is_text, group in groupby(parts, lambda part: part.keys() == {"type", "text"}):
        pieces = list(group)
        whole += [{**pieces[0], "text": "".join(piece["text"] for piece in pieces)}] if is_text else pieces
    return whole
