"""What differs between two versions of an agent: field by field, and line by line for long texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import chain
from typing import Any

from app.agents.entry import AgentEntry

# Unchanged lines that are shown around a change.
_CONTEXT_LINES = 2
# Comparing longer texts line by line takes time with the square of their lines.
_MOST_LINES = 1000
_TEXTS = ("instruction",)


class LineKind(StrEnum):
    """What has become of a line."""

    KEPT = "kept"
    ADDED = "added"
    REMOVED = "removed"
    # Stands for any number of lines that stayed and are not shown.
    GAP = "gap"


@dataclass(frozen=True)
class Line:
    """A line of a text that has changed."""

    kind: LineKind
    text: str


@dataclass(frozen=True)
class Difference:
    """A field whose value has changed. `lines` says how, if it is a long text."""

    field: str
    before: Any
    after: Any
    lines: tuple[Line, ...] = ()


def differences(before: AgentEntry | None, after: AgentEntry) -> list[Difference]:
    """The fields that differ, in the order of the entry. Of a new agent: those that are not the defaults."""
    former = before or AgentEntry.model_construct(name="")
    found: list[Difference] = []
    for name in AgentEntry.model_fields:
        old, new = getattr(former, name), getattr(after, name)
        if name != "name" and old != new:
            found.append(Difference(name, old, new, line_changes(old, new) if name in _TEXTS else ()))
    return found


def changed_values(before: AgentEntry | None, after: AgentEntry | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of the fields that differ, before and after. All values of an agent that is new or deleted."""
    old = before.to_json() if before else {}
    new = after.to_json() if after else {}
    changed = [name for name in chain(old, new) if before is None or after is None or old[name] != new[name]]
    return ({name: old[name] for name in changed if name in old}, {name: new[name] for name in changed if name in new})


def line_changes(before: str, after: str) -> tuple[Line, ...]:
    """The lines that were removed and added, with some of those around them."""
    old, new = _lines_of(before), _lines_of(after)
    if len(old) + len(new) > _MOST_LINES:
        return _all_replaced(old, new)
    shown: list[Line] = []
    # Without `autojunk`, which ignores lines that are frequent.
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    last_old = 0
    for group in matcher.get_grouped_opcodes(_CONTEXT_LINES):
        if group[0][1] > last_old:
            shown.append(Line(LineKind.GAP, ""))
        for tag, old_from, old_to, new_from, new_to in group:
            if tag == "equal":
                shown += _as(LineKind.KEPT, old[old_from:old_to])
                continue
            shown += _as(LineKind.REMOVED, old[old_from:old_to])
            shown += _as(LineKind.ADDED, new[new_from:new_to])
        last_old = group[-1][2]
    if shown and last_old < len(old):
        shown.append(Line(LineKind.GAP, ""))
    return tuple(shown)


def _all_replaced(old: Sequence[str], new: Sequence[str]) -> tuple[Line, ...]:
    """Without what is alike at the beginning and at the end, everything is removed and added."""
    start = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    rest = min(len(old), len(new)) - start
    pairs = zip(reversed(old), reversed(new), strict=False)
    end = min(rest, next((at for at, (a, b) in enumerate(pairs) if a != b), rest))
    gap = [Line(LineKind.GAP, "")]
    return (
        *(gap if start else []),
        *_as(LineKind.REMOVED, old[start : len(old) - end]),
        *_as(LineKind.ADDED, new[start : len(new) - end]),
        *(gap if end else []),
    )


def _as(kind: LineKind, lines: Sequence[str]) -> list[Line]:
    return [Line(kind, line) for line in lines]


def _lines_of(text: str) -> list[str]:
    return text.split("\n") if text else []
