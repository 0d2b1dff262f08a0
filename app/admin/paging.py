"""Pages of long lists: the next one begins after the last row of this one, so nothing is counted or skipped."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import orjson

_T = TypeVar("_T")

_MOST_CURSOR_BYTES = 500


@dataclass(frozen=True)
class Page(Generic[_T]):
    """One page of a list.

    Attributes:
        rows: what is on it.
        next: the cursor of the next page, or None if this is the last one.
        is_first: whether this is the beginning of the list.
    """

    rows: Sequence[_T]
    next: str | None
    is_first: bool


def page_of(
    rows: Sequence[_T], size: int, position: Callable[[_T], Sequence[str | int]], *, cursor: str | None
) -> Page[_T]:
    """The page made of up to `size` of the rows. One row more than that must have been asked for.

    Args:
        rows: `size + 1` rows, or fewer if there are no more.
        size: how many rows a page has.
        position: where in the list's order a row stands; the next page's rows come after that.
        cursor: the cursor of this page.
    """
    shown = rows[:size]
    follows = len(rows) > size and bool(shown)
    return Page(shown, seal_position(position(shown[-1])) if follows else None, cursor is None)


def seal_position(position: Sequence[str | int]) -> str:
    """A position as the text of a cursor."""
    return base64.urlsafe_b64encode(orjson.dumps(list(position))).decode().rstrip("=")


def read_position(cursor: str | None, *kinds: type[str] | type[int]) -> tuple[str | int, ...] | None:
    """The position in a cursor. None if there is no cursor or it is not valid: the list then starts at the beginning.

    Args:
        cursor: as it came in the address.
        kinds: the types that the position consists of.
    """
    if not cursor or len(cursor) > _MOST_CURSOR_BYTES:
        return None
    try:
        values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        return None
    if not isinstance(values, list) or [type(value) for value in values] != list(kinds):
        return None
    return tuple(values)
