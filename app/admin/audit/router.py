from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from app.admin.access import SignedIn, Viewer
from app.admin.audit.export import as_csv, as_json
from app.admin.audit.filtering import Filters, read_filters
from app.admin.audit.queries import Change, Position, find_changes, list_actors, position_after
from app.admin.audit.sentences import GROUP_WORDS, WORDINGS
from app.admin.audit.views import by_day, tell
from app.admin.errors import PageForbiddenError, PageNotFoundError
from app.admin.paging import page_of, read_position
from app.admin.rendering import reader_zone, render
from app.dependencies import DatabaseDep, TransactionDep

router = APIRouter()

_PAGE_SIZE = 50
# Changes of one moment that pages can begin behind: one command makes no more.
_MOST_AT_ONCE = 10_000
_KINDS = {"csv": ("text/csv; charset=utf-8", as_csv), "json": ("application/json", as_json)}


async def require_reader(viewer: SignedIn) -> Viewer:
    """Somebody who may read the log: of one organization its owners and admins, of all of them operators.

    Raises:
        PageForbiddenError: the reader is another member.
    """
    if not viewer.manages and not viewer.is_operator:
        role, name = viewer.role.value, viewer.organization_name
        raise PageForbiddenError(f"The audit log is for owners and admins. You are {role} of {name}.")
    return viewer


Reader = Annotated[Viewer, Depends(require_reader)]


@router.get("/audit")
async def show_log(request: Request, viewer: Reader, tx: TransactionDep, cursor: str | None = None) -> Response:
    """Who changed what, newest first."""
    filters = read_filters(request.query_params, viewer)
    wanted = filters.wanted(viewer, reader_zone(request))
    position = _position(cursor)
    changes = await find_changes(tx, wanted, _PAGE_SIZE + 1, position)
    page = page_of(changes, _PAGE_SIZE, lambda _: _next_position(changes[:_PAGE_SIZE], position), cursor=cursor)
    told = [
        tell(change, organization_id=viewer.organization_id, is_operator=viewer.is_operator) for change in page.rows
    ]
    actors = await list_actors(tx, None if viewer.is_operator else viewer.organization_id)
    return render(
        request,
        "audit/log.html",
        viewer,
        title="Audit log",
        here="audit",
        page=page,
        days=partial(by_day, told),
        filters=filters,
        actors=_actors(filters.who, actors),
        events=_events(filters),
    )


@router.get("/audit/export.{kind}")
async def export_log(request: Request, viewer: Reader, database: DatabaseDep, kind: str) -> Response:
    """The same rows as a file."""
    if kind not in _KINDS:
        raise PageNotFoundError
    media_type, write = _KINDS[kind]
    rows: AsyncIterator[str] = write(
        database, read_filters(request.query_params, viewer).wanted(viewer, reader_zone(request))
    )
    headers = {"Content-Disposition": f'attachment; filename="audit-log.{kind}"'}
    return StreamingResponse(rows, media_type=media_type, headers=headers)


def _position(cursor: str | None) -> Position | None:
    found = read_position(cursor, str, int)
    if found is None:
        return None
    try:
        moment, shown = datetime.fromisoformat(str(found[0])), int(found[1])
    except ValueError:
        return None
    return (moment, shown) if moment.tzinfo and 0 <= shown <= _MOST_AT_ONCE else None


def _next_position(changes: Sequence[Change], before: Position | None) -> tuple[str, int]:
    moment, shown = position_after(changes, before)
    return moment.isoformat(), shown


def _actors(who: str, users: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """The actors to choose from, with the one that is chosen."""
    known = [("", "Anyone"), *users, ("command_line", "Command line"), ("server", "The server")]
    return known if who in {actor for actor, _ in known} else [*known, (who, who)]


def _events(filters: Filters) -> Sequence[tuple[str, str]]:
    groups = [(group.value, words) for group, words in GROUP_WORDS.items()]
    one = [(filters.what, filters.what)] if filters.what in WORDINGS else []
    return [("", "Everything"), *groups, *one]
