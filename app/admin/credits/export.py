"""The filtered ledger as a file: read and sent in slices, however long it is."""

import csv
import io
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import orjson
from fastapi import Request
from starlette.responses import Response, StreamingResponse

from app.admin.access import Viewer
from app.admin.credits import queries
from app.admin.credits.ledger_filter import LedgerFilter
from app.admin.credits.queries import Entry
from app.admin.credits.scope import only_user_of
from app.core.database import Database

# A slice is one short transaction, and none is open while the reader takes it.
_SLICE = 1000
# What a program for tables would take for a formula.
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")

_VALUES: Mapping[str, Callable[[Entry], object]] = {
    "reference": lambda entry: entry.reference,
    "created_at": lambda entry: entry.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    "kind": lambda entry: entry.kind,
    "amount": lambda entry: entry.amount,
    "balance_after": lambda entry: entry.balance_after,
    "is_estimated": lambda entry: entry.is_estimated,
    "description": lambda entry: entry.description,
    "api_key_id": lambda entry: entry.api_key_id,
    "api_key": lambda entry: entry.key_name,
    "user": lambda entry: entry.user_email,
    "agent": lambda entry: entry.agent,
    "model": lambda entry: entry.model,
    "calls": lambda entry: entry.calls,
    "session": lambda entry: entry.session,
    "turn_id": lambda entry: entry.turn_id,
    "content_id": lambda entry: str(entry.content_id) if entry.content_id else None,
    "request_id": lambda entry: entry.request_id,
}


def csv_export(request: Request, viewer: Viewer, database: Database) -> Response:
    """The entries as CSV (RFC 4180), with a line of names first."""
    return _file(_csv_of(_slices(request, viewer, database)), "text/csv; charset=utf-8; header=present", "csv")


def json_export(request: Request, viewer: Viewer, database: Database) -> Response:
    """The entries as one JSON object. Credits are strings, so that no program rounds them."""
    chosen = LedgerFilter.read(request.query_params)
    head = {"organization_id": viewer.organization_id, "filter": chosen.query}
    return _file(_json_of(_slices(request, viewer, database), head), "application/json", "json")


def csv_lines(rows: Sequence[Sequence[object]]) -> str:
    """Rows as lines of CSV. Texts that would be taken for formulas begin with an apostrophe; numbers stay numbers."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _file(content: AsyncIterator[str], media_type: str, ending: str) -> Response:
    name = f"ledger-{datetime.now(UTC):%Y-%m-%d}.{ending}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(content, media_type=media_type, headers=headers)


async def _slices(request: Request, viewer: Viewer, database: Database) -> AsyncIterator[Sequence[Entry]]:
    """The entries that there are now, the newest first, one slice after the other."""
    chosen, only_user = LedgerFilter.read(request.query_params), only_user_of(viewer)
    async with database.transaction() as tx:
        newest = await queries.newest_entry(tx, viewer.organization_id)
    before = None
    while True:
        async with database.transaction() as tx:
            found = await queries.list_entries(
                tx, viewer.organization_id, chosen, size=_SLICE, only_user=only_user, before=before, newest=newest
            )
        yield found.entries
        if found.next is None:
            return
        before = found.next


async def _csv_of(slices: AsyncIterator[Sequence[Entry]]) -> AsyncIterator[str]:
    yield csv_lines([list(_VALUES)])
    async for rows in slices:
        yield csv_lines([[value(row) for value in _VALUES.values()] for row in rows])


async def _json_of(slices: AsyncIterator[Sequence[Entry]], head: Mapping[str, object]) -> AsyncIterator[str]:
    yield _json(head)[:-1] + ',"entries":[\n'
    between = ""
    async for rows in slices:
        lines = [_json({name: _json_value(value(row)) for name, value in _VALUES.items()}) for row in rows]
        if lines:
            yield between + ",\n".join(lines)
            between = ",\n"
    yield "\n]}\n"


def _cell(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, str) and _FORMULA.match(value):
        return f"'{value}"
    return "" if value is None else value


def _json(value: Mapping[str, object]) -> str:
    return orjson.dumps(value).decode()


def _json_value(value: object) -> object:
    return f"{value:f}" if isinstance(value, Decimal) else value
