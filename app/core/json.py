"""JSON from outside: whether it can be stored, and how it is read again.

What is stored was written by the writer whose reader reads every stored row, and what had to be repaired was read back
before. So no row can be written that a later query could not show.
"""

import json
import logging
from typing import Any

import orjson

from app.core.json_limits import has_nul

logger = logging.getLogger(__name__)

# How many objects and lists a value may have inside each other. orjson and pydantic write 254 levels at most; the rest
# is for what messages and responses put around a value.
MOST_LEVELS = 200
_WRAPPED_LEVELS = 254 - MOST_LEVELS


class UnstorableJsonError(ValueError):
    """A value that cannot be stored as JSON and read again. Its text says why, without a subject."""


def exact_json(value: Any) -> str:
    """`value` as JSON text from which the same value will be read again.

    Raises:
        UnstorableJsonError: it contains a NUL character, a lone surrogate or an integer of more than 64 bits, or has
            more than `MOST_LEVELS` levels.
    """
    try:
        # The writer counts the levels, without a walk in Python that would take as long as a request may.
        text = orjson.dumps(_wrapped(value))[_WRAPPED_LEVELS:-_WRAPPED_LEVELS]
    except (TypeError, orjson.JSONEncodeError):
        raise UnstorableJsonError("holds text or a number that cannot be passed on, or is nested too deeply") from None
    if has_nul(text):
        raise UnstorableJsonError("holds a NUL character")
    return text.decode()


def storable_json(value: Any) -> str:
    """`value` as JSON text that Postgres can store and every reader can read.

    U+FFFD replaces NUL characters and lone surrogates, null replaces NaN and infinite numbers, and an integer of more
    than 64 bits becomes the nearest float.

    Raises:
        UnstorableJsonError: it has more than `MOST_LEVELS` levels, or an integer that is too large for a float.
    """
    try:
        return exact_json(value)
    except UnstorableJsonError:
        return exact_json(_read_back(_repaired(value)))


def read_json(text: str | bytes) -> Any:
    """The value of a stored JSON text. It raises no error, because one unreadable row must not fail a query of many.

    Rows that another version has written may hold what `storable_json` refuses: a number that is too large for a float
    is None, and so is a text that has too many levels for any reader.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        logger.warning("stored_json_repaired", extra={"length": len(text)})
    try:
        return json.loads(text, parse_int=_number, parse_float=_number, parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        return None


def has_too_many_levels(value: Any) -> bool:
    """Whether a value that was read from JSON has more than `MOST_LEVELS` levels."""
    try:
        orjson.dumps(_wrapped(value))
    except (TypeError, orjson.JSONEncodeError):
        return True
    return False


def storable_text(value: str) -> str:
    """`value` as text that Postgres can store: NUL characters and lone surrogates become U+FFFD."""
    try:
        value.encode()
    except UnicodeEncodeError:
        value = _without_half_pairs(value)
    return value.replace("\0", "\ufffd")


def _wrapped(value: Any) -> Any:
    """The value in so many lists that it can be written only if it has no more than `MOST_LEVELS` levels."""
    for _ in range(_WRAPPED_LEVELS):
        value = [value]
    return value


def _read_back(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnstorableJsonError(f"could not be read again: {error.msg}") from None


def _repaired(value: Any) -> str:
    """The value as JSON text without NUL characters, lone surrogates, NaN and infinite numbers."""
    try:
        # `json` writes NaN and Infinity, which are not JSON but which some models return.
        finite = json.loads(json.dumps(value), parse_constant=lambda _name: None)
        text = _without_half_pairs(json.dumps(finite, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError):
        raise UnstorableJsonError("cannot be written as JSON, or is nested too deeply") from None
    # In JSON a NUL is an escape that follows an even number of backslashes, which are escaped ones. While it is looked
    # for, a NUL stands for such a pair of backslashes: JSON never holds the character itself.
    return text.replace("\\\\", "\0").replace("\\u0000", "\ufffd").replace("\0", "\\\\")


def _without_half_pairs(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _number(digits: str) -> float | int | None:
    """What orjson reads for a number, but None for one that is too large for a float."""
    try:
        number: float | int = orjson.loads(digits)
    except orjson.JSONDecodeError:
        return None
    return number
