"""The log of changes as sentences, grouped by day."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from itertools import groupby
from string import Formatter
from typing import Any
from urllib.parse import quote

from app.admin.audit.queries import Change
from app.admin.audit.sentences import Wording, wording_of

_MOST_SHOWN = 160
_MOST_VALUES = 8
_NOTHING: tuple[object, ...] = (None, "", [], {}, False)


@dataclass(frozen=True)
class Piece:
    """A part of a sentence: text, perhaps the name of the object, which may lead to its page."""

    text: str
    is_object: bool = False
    path: str | None = None


@dataclass(frozen=True)
class Replaced:
    """One value that changed. What is None was not there."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Told:
    """One change in words.

    Attributes:
        at: when.
        who: whom the sentence begins with.
        actor: by which the page is filtered for the same.
        pieces: the rest of the sentence.
        replaced: the values that changed, as far as they are shown.
        further: how many more changed.
        whole: all that changed as JSON, if something was cut.
        origin: where it came from.
        request_id: the request or command.
        organization: its name, for those who see several.
    """

    at: datetime
    who: str
    actor: str
    pieces: Sequence[Piece]
    replaced: Sequence[Replaced]
    further: int
    whole: str | None
    origin: str
    request_id: str | None
    organization: str | None


@dataclass(frozen=True)
class Day:
    """The changes of one day of the reader's, newest first."""

    title: str
    changes: Sequence[Told]


def tell(change: Change, *, organization_id: str, is_operator: bool) -> Told:
    """A change in words.

    Args:
        change: the row.
        organization_id: the organization that the reader looks at; only objects of that one have pages.
        is_operator: whether the reader has the operator's pages.
    """
    said = _fields_of(wording_of(change.event))
    replaced = [each for each in _replaced(change.before or {}, change.after or {}) if each[0] not in said]
    shown = replaced[:_MOST_VALUES]
    is_cut = len(shown) < len(replaced) or any(len(text or "") > _MOST_SHOWN for _, *pair in shown for text in pair)
    return Told(
        at=change.at,
        who=_who(change),
        actor=change.actor_id or change.actor_kind,
        pieces=_pieces(change, organization_id, is_operator=is_operator),
        replaced=[Replaced(name, _cut(before), _cut(after)) for name, before, after in shown],
        further=len(replaced) - len(shown),
        whole=_whole(change) if is_cut else None,
        origin=_origin(change),
        request_id=change.request_id,
        organization=change.organization_name or change.organization_id,
    )


def by_day(changes: Sequence[Told], zone: tzinfo, now: datetime) -> list[Day]:
    """The changes grouped by the reader's days."""
    today = now.astimezone(zone).date()
    return [
        Day(_title(day, today), list(told))
        for day, told in groupby(changes, lambda change: change.at.astimezone(zone).date())
    ]


def _title(day: date, today: date) -> str:
    words = {0: "Today, ", 1: "Yesterday, "}.get((today - day).days, "")
    year = "" if day.year == today.year else f" {day.year}"
    return f"{words}{day.day} {day:%B}{year}"


def _who(change: Change) -> str:
    if change.actor_kind == "command_line":
        return "Command line"
    return "The server" if change.actor_kind == "server" else change.actor_email or change.actor_id or "Somebody"


def _origin(change: Change) -> str:
    if change.actor_kind == "server":
        return "By itself"
    source = change.source or "not known from where"
    return source if change.actor_kind == "command_line" else f"Console, {source}"


def _pieces(change: Change, organization_id: str, *, is_operator: bool) -> list[Piece]:
    wording = wording_of(change.event)
    values = {**(change.before or {}), **(change.after or {})}
    object_id = change.object_id or ""
    # What a plan is moved to has a name of its own; the object's name is that of the organization.
    shown = object_id if "{name}" in wording.words else change.object_name or object_id
    is_reachable = is_operator if wording.is_operators else change.organization_id == organization_id != ""
    path = None
    if wording.path is not None and is_reachable and shown:
        path = wording.path.format(id=quote(object_id, safe="/"), name=quote(change.object_name or object_id, safe=""))
    pieces = []
    for text, field, _, _ in Formatter().parse(wording.words):
        pieces.append(Piece(text))
        if field == "object":
            pieces.append(Piece(shown or "something", is_object=True, path=path))
        elif field is not None:
            pieces.append(Piece(_text(values.get(field)) or "something"))
    return [piece for piece in pieces if piece.text]


def _fields_of(wording: Wording) -> set[str]:
    """The values that the sentence says already."""
    return {field for _, field, _, _ in Formatter().parse(wording.words) if field}


def _replaced(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str | None, str | None]]:
    """The values that differ, each as text. Of what is new or gone, only what says something."""
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if name != "name" and old != new and not (old in _NOTHING and new in _NOTHING):
            yield name, _text(old), _text(new)


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(item if isinstance(item, str) else json.dumps(item) for item in value) or None
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _whole(change: Change) -> str:
    return json.dumps({"before": change.before, "after": change.after}, ensure_ascii=False, indent=2)
