"""What is kept of the values that a change replaced: plain JSON, of bounded size, and never a secret."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

# An instruction of an agent may be much longer. Its own history keeps all of it.
_MOST_CHARACTERS = 1000
_MOST_ITEMS = 100
_DEPTH = 4
_LEFT_OUT = "not kept"
# `max_output_tokens` is none.
_SECRET = re.compile(r"password|secret|hash|(^|_)token$|credential", re.IGNORECASE)


def kept(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The values as the log keeps them, by name.

    Long texts and lists are cut, and say so. The value of a name that sounds like a secret is left out, should a caller
    ever give one.
    """
    return None if values is None else _mapping(values, _DEPTH)


def _mapping(values: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    shown = list(values.items())[:_MOST_ITEMS]
    return {str(name): _LEFT_OUT if _SECRET.search(str(name)) else _plain(value, depth - 1) for name, value in shown}


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    if depth > 0 and isinstance(value, Mapping):
        return _mapping(value, depth)
    if depth > 0 and isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        items = sorted(value) if isinstance(value, set | frozenset) else list(value)
        return [_plain(item, depth - 1) for item in items[:_MOST_ITEMS]]
    return _cut(str(value))


def _cut(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]}… ({len(text):,} characters)"
