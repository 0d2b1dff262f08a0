"""Texts of a stream in which a character was cut in two: half a surrogate pair, or some of its bytes.

Python reads what is broken as lone surrogates: halves of pairs as they are, bytes as U+DC80 to U+DCFF.
"""

import re
from typing import Any

from app.chat_models.finish_reasons import is_stated
from app.chat_models.protocol import JsonObject

_REPLACEMENT = "\ufffd"
_BROKEN = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udbff\udc00-\udc7f\udd00-\udfff]")
# The end of a text that its next piece may make whole: the first half of a pair, or the first bytes of a character.
_BEGUN = re.compile(
    "(?:[\ud800-\udbff]|[\udcc2-\udcdf]|[\udce0-\udcef][\udc80-\udcbf]?|[\udcf0-\udcf4][\udc80-\udcbf]{0,2})\\Z"
)


def repaired(value: Any) -> Any:
    """A value of JSON in which U+FFFD stands for everything that is broken."""
    if isinstance(value, str):
        return _repaired(value) if _BROKEN.search(value) else value
    if isinstance(value, dict):
        return {_repaired(name): repaired(each) for name, each in value.items()}
    return [repaired(each) for each in value] if isinstance(value, list) else value


class BrokenTexts:
    """Keeps what the deltas of one stream end with, if it is only the beginning of a character, for the next delta."""

    def __init__(self) -> None:
        self._begun: dict[tuple[Any, ...], str] = {}

    @property
    def are_begun(self) -> bool:
        """Whether something is kept."""
        return bool(self._begun)

    def join(self, chunk: JsonObject) -> JsonObject:
        """The chunk with whole characters. What is kept at the end of the stream is lost as U+FFFD."""
        choices: Any = chunk.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(first, dict) and isinstance(first.get("delta"), dict):
            is_last = is_stated(first.get("finish_reason"))
            begun = {path[0]: "" for path in self._begun if len(path) == 1} if is_last else {}
            delta = self._joined({**begun, **first["delta"]}, (), is_last=is_last)
            chunk = {**chunk, "choices": [{**first, "delta": delta}, *choices[1:]]}
        whole: JsonObject = repaired(chunk)
        return whole

    def _joined(self, value: Any, path: tuple[Any, ...], *, is_last: bool) -> Any:
        if isinstance(value, str):
            return self._joined_text(value, path, is_last=is_last)
        if isinstance(value, dict):
            return {name: self._joined(each, (*path, name), is_last=is_last) for name, each in value.items()}
        if isinstance(value, list):
            return [self._joined(each, (*path, _place(each, at)), is_last=is_last) for at, each in enumerate(value)]
        return value

    def _joined_text(self, piece: str, path: tuple[Any, ...], *, is_last: bool) -> str:
        text = self._begun.pop(path, "") + piece
        begun = None if is_last else _BEGUN.search(text)
        if begun is None:
            return text
        self._begun[path] = begun[0]
        return text[: begun.start()]


def _place(item: Any, position: int) -> Any:
    """What an item of a list is known by in the next delta."""
    index = item.get("index") if isinstance(item, dict) else None
    return index if isinstance(index, int) else position


def _repaired(text: str) -> str:
    paired = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return _HALF.sub(_REPLACEMENT, paired).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
