"""The log of changes as CSV and JSON, written while it is read."""

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from typing import Any

from app.admin.audit.queries import Change, Wanted, find_changes, position_after
from app.core.database import Database

# One file has no more: a filter by days divides what is longer.
MOST_ROWS = 100_000
_BATCH = 1000
_COLUMNS = (
    "at", "actor_kind", "actor_id", "actor_email", "organization_id", "organization_name", "event", "object_id",
    "object_name", "before", "after", "source", "request_id",
)  # fmt: skip
# Spreadsheets take what begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def as_csv(database: Database, wanted: Wanted) -> AsyncIterator[str]:
    """The rows as lines of CSV. No cell begins as a formula does."""
    yield _line(_COLUMNS)
    async for changes in _batches(database, wanted):
        yield "".join(_line([_cell(value) for value in _values(change).values()]) for change in changes)


async def as_json(database: Database, wanted: Wanted) -> AsyncIterator[str]:
    """The rows as one JSON array of objects."""
    separator = "[\n"
    async for changes in _batches(database, wanted):
        for change in changes:
            yield separator + json.dumps(_values(change), ensure_ascii=False)
            separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


async def _batches(database: Database, wanted: Wanted) -> AsyncIterator[Sequence[Change]]:
    after, left = None, MOST_ROWS
    while left > 0:
        # A transaction each, so that no slow client keeps one open.
        async with database.transaction() as tx:
            changes = await find_changes(tx, wanted, min(_BATCH, left), after)
        if not changes:
            return
        yield changes
        after, left = position_after(changes, after), left - len(changes)


def _values(change: Change) -> dict[str, Any]:
    return {name: getattr(change, name) for name in _COLUMNS} | {"at": change.at.astimezone(UTC).isoformat()}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
