"""Chunks that have nothing but a piece of text, as nearly all have."""

from typing import Final

import orjson

from app.chat_models.protocol import JsonObject

# All that is in a choice, and in its delta, if the chunk is a piece of text and no more.
_CHOICE: Final = frozenset({"index", "delta", "finish_reason", "logprobs"})
_TEXT: Final = frozenset({"role", "content"})
# How often what chunks have in common is looked for in vain. Some servers fill each one up with noise of its own.
_MOST_TRIES: Final = 8


def only_text_of(chunk: JsonObject) -> str | None:
    """The text of a chunk that has nothing else; None if it could have more."""
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or chunk.get("usage") or chunk.get("x_groq"):
        return None
    choice = choices[0]
    if not isinstance(choice, dict) or not _CHOICE.issuperset(choice):
        return None
    delta = choice.get("delta")
    if choice.get("finish_reason") or choice.get("logprobs") or not isinstance(delta, dict):
        return None
    text = delta.get("content")
    return text if text and isinstance(text, str) and _TEXT.issuperset(delta) else None


class TextPattern:
    """What is the same in all chunks of a stream that have only text. Of the next one only the text has to be parsed.

    Between the same bytes, another JSON string makes the same document with another text.
    """

    def __init__(self) -> None:
        self._before = self._after = b""
        self._tries_left = _MOST_TRIES

    def text_of(self, data: bytes) -> str | None:
        """The text of a chunk that differs only by it from the one that was learned; None if it may be any other."""
        if not self._before or not data.startswith(self._before) or not data.endswith(self._after):
            return None
        try:
            text = orjson.loads(data[len(self._before) : len(data) - len(self._after)])
        except orjson.JSONDecodeError:
            return None
        if not text or not isinstance(text, str):
            return None
        self._tries_left = _MOST_TRIES
        return text

    def learn(self, data: bytes, text: str) -> None:
        """Learn from a chunk that has only this text."""
        if not self._tries_left:
            return
        self._tries_left -= 1
        before, written, after = data.partition(orjson.dumps(text))
        self._before = b""
        if written and _is_text_between(before, after, another=f"{text}."):
            self._before, self._after = before, after


def _is_text_between(before: bytes, after: bytes, another: str) -> bool:
    """Whether the string between these bytes is the text, and not one that is the same: tried with another text."""
    try:
        chunk = orjson.loads(before + orjson.dumps(another) + after)
    except orjson.JSONDecodeError:
        return False
    return isinstance(chunk, dict) and only_text_of(chunk) == another
