"""The filters of the gallery: from an address to what is wanted, and to the words that the page shows."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Final, TypeVar

from app.admin.content.queries import Choice, Position, Wanted
from app.admin.content.views import KINDS, STATUSES
from app.admin.paging import read_position, seal_position
from app.generations.media_types import ContentType
from app.generations.states import Status

TYPES: Final = [(kind.value, KINDS[kind][2]) for kind in ContentType]
STATUS_WORDS: Final = [(status.value, STATUSES[status][1]) for status in Status]
# The filters' names in the address.
NAMES: Final = ("type", "status", "agent", "key", "period", "since", "until")
# What "a range" is needed for are the two dates beside it.
RANGE: Final = "range"
PERIODS: Final = [("today", "Today"), ("7", "Last 7 days"), ("30", "Last 30 days"), (RANGE, "A range")]
_MOST_CHARACTERS: Final = 200
_Value = TypeVar("_Value", bound=StrEnum)


@dataclass(frozen=True)
class Pill:
    """One filter that is set: its name in the address, and what it says."""

    name: str
    words: str


def given_in(query: Mapping[str, str]) -> dict[str, str]:
    """The filters of an address; those that are not set are empty. Two dates are a range, and go with nothing else."""
    given = {name: text_in(query, name) for name in NAMES}
    if not given["period"] and (given["since"] or given["until"]):
        given["period"] = RANGE
    if given["period"] != RANGE:
        given |= {"since": "", "until": ""}
    return given


def text_in(query: Mapping[str, str], name: str) -> str:
    """One value of an address, as it can be looked for."""
    return query.get(name, "").replace("\0", "").strip()[:_MOST_CHARACTERS]


def wanted_of(
    given: Mapping[str, str], zone: tzinfo, *, organization_id: str, user_id: str | None, cursor: str | None
) -> Wanted:
    """What the filters ask for. A value that none of the page's choices has is passed over.

    Args:
        given: the filters.
        zone: the reader's, in which dates begin and end.
        organization_id: whose content it is.
        user_id: of whom a member sees content.
        cursor: where to continue.
    """
    return Wanted(
        organization_id=organization_id,
        user_id=user_id,
        content_type=_one_of(ContentType, given["type"]),
        status=_one_of(Status, given["status"]),
        agent=given["agent"] or None,
        key_id=given["key"] or None,
        since=_start_of(given["since"], zone) or _start_of_period(given["period"], zone),
        until=_start_of(given["until"], zone, days_later=1),
        after=_read_cursor(cursor),
    )


def pills_of(given: Mapping[str, str], keys: Sequence[Choice]) -> list[Pill]:
    """The filters that are set, in the words of the choices that they came from."""
    words = {"type": dict(TYPES), "status": dict(STATUS_WORDS), "period": dict(PERIODS)}
    words["key"] = {key.value: key.words for key in keys}
    prefixes = {"since": "From ", "until": "Until "}
    return [
        Pill(name, prefixes.get(name, "") + words.get(name, {}).get(value, value))
        for name, value in given.items()
        if value and value != RANGE
    ]


def cursor_of(position: Position | None) -> str | None:
    """A position as the text of a cursor."""
    return None if position is None else seal_position([position.created_at.isoformat(), str(position.id)])


def _read_cursor(cursor: str | None) -> Position | None:
    position = read_position(cursor, str, str)
    if position is None:
        return None
    try:
        at, content_id = datetime.fromisoformat(str(position[0])), uuid.UUID(str(position[1]))
    except ValueError:
        return None
    return Position(at, content_id) if at.tzinfo is not None else None


def _one_of(values: type[_Value], text: str) -> _Value | None:
    return values(text) if text in list(values) else None


def _start_of_period(period: str, zone: tzinfo) -> datetime | None:
    days = {"today": 0, "7": 6, "30": 29}.get(period)
    if days is None:
        return None
    return datetime.combine(datetime.now(zone).date() - timedelta(days=days), time(), zone)


def _start_of(text: str, zone: tzinfo, *, days_later: int = 0) -> datetime | None:
    """When a date begins in the reader's zone, or the day after it; None for what is no date."""
    try:
        day = date.fromisoformat(text) + timedelta(days=days_later)
    except (ValueError, OverflowError):
        return None
    return datetime.combine(day, time(), zone) if 1970 <= day.year <= 9000 else None
