from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from app.admin.access import SignedIn, Viewer
from app.admin.errors import PageNotFoundError
from app.admin.paging import Page, read_position, seal_position
from app.admin.rendering import render, url
from app.admin.sessions.list_queries import SCANNED, list_sessions
from app.admin.sessions.queries import (
    SessionRow,
    find_request,
    find_session,
    find_sessions,
    list_keys,
    list_users,
)
from app.admin.sessions.requests import request_views
from app.admin.sessions.session_addresses import UNNAMED, message_path, session_path
from app.admin.sessions.session_list import (
    PERIODS,
    STATES,
    SessionsQuery,
    filter_words,
    may_read,
    view_of,
    visible_user,
)
from app.admin.sessions.transcript import transcript_of
from app.admin.sessions.transcript_reader import TranscriptReader
from app.admin.sessions.turn_queries import find_turns, list_messages, session_of_turn
from app.chat.responses.output import turn_id_of
from app.core.clock import now
from app.core.database import Transaction
from app.dependencies import SettingsDep, StoreDep, TransactionDep

router = APIRouter()

_PAGE_SIZE: Final = 25
_MOST_OF_A_MESSAGE: Final = 60_000
# The numbers of messages, which Postgres stores as an integer.
_Position = Annotated[int | None, Query(ge=0, le=2**31 - 1)]
_Text = Annotated[str, Query(max_length=600)]


@router.get("/sessions")
async def show_sessions(
    request: Request,
    viewer: SignedIn,
    tx: TransactionDep,
    q: _Text = "",
    user: _Text = "",
    key: _Text = "",
    state: _Text = "",
    days: _Text = "",
    cursor: str | None = None,
) -> Response:
    """The sessions of the organization that the reader may see, the last active first."""
    query = SessionsQuery(q=q, user=user, key=key, state=state, days=days)
    before = _before(cursor)
    found = await list_sessions(tx, viewer.organization_id, query.wanted(viewer, now()), before=before, size=_PAGE_SIZE)
    if not found.rows and q and (other := await _elsewhere(tx, viewer, q)):
        return RedirectResponse(url(other), status_code=303)
    users = [] if visible_user(viewer) else await list_users(tx, viewer.organization_id)
    keys = await list_keys(tx, viewer.organization_id, user_id=visible_user(viewer))
    following = seal_position([found.next[0].isoformat(), str(found.next[1])]) if found.next else None
    page = Page(found.rows, following, before is None)
    return render(
        request,
        "sessions/list.html",
        viewer,
        title="Sessions",
        here="sessions",
        page=page,
        scanned=SCANNED if found.is_cut else None,
        sessions=[view_of(row, viewer) for row in page.rows],
        query=query,
        users=[("", "Every user"), *users],
        keys=[("", "Every key"), *keys],
        states=STATES,
        periods=PERIODS,
        pills=filter_words(query, dict(users), dict(keys)),
    )


@router.get("/sessions/{public_id}")
async def show_session(
    request: Request,
    public_id: str,
    viewer: SignedIn,
    tx: TransactionDep,
    store: StoreDep,
    settings: SettingsDep,
    name: _Text | None = None,
    user: _Text | None = None,
    turn: _Text | None = None,
    begin: _Position = None,
    message: _Position = None,
) -> Response:
    """A session: a turn as a waterfall, then what was said."""
    public_id = (name or "") if public_id == UNNAMED else public_id
    found = await _find(tx, viewer, public_id, user)
    if len(found) > 1:
        return RedirectResponse(url("sessions", q=public_id), status_code=303)
    if message is not None:
        return await _show_message(request, viewer, tx, found[0], message)
    reader = TranscriptReader(tx, viewer.organization_id, store, settings.public_url)
    transcript = await reader.read(found[0], now=now(), turn_id=turn, begin=begin)
    if transcript is None:
        raise PageNotFoundError
    session = view_of(found[0], viewer)
    return render(
        request,
        "sessions/session.html",
        viewer,
        title=session.title,
        here="sessions",
        session=session,
        transcript=transcript,
        path=lambda **given: session_path(session.name, session.user_id, **given),
        message_path=lambda position: message_path(session.name, session.user_id, position),
    )


@router.get("/requests/{request_id}")
async def show_request(request: Request, request_id: str, viewer: SignedIn, tx: TransactionDep) -> Response:
    """What a request has caused: its turn, the session, and the ledger entries."""
    actions = await find_request(tx, viewer.organization_id, request_id, user_id=visible_user(viewer))
    if not actions:
        raise PageNotFoundError(
            "Nothing that was done has this request id here. Requests that only read, or were refused, leave none."
        )
    turn_ids = list({action.turn_id for action in actions if action.turn_id})
    references = [action.reference for action in actions]
    stored = await find_turns(tx, viewer.organization_id, turn_ids, others=references)
    return render(
        request,
        "sessions/request.html",
        viewer,
        title=f"Request {request_id[:64]}",
        here="sessions",
        request_id=request_id,
        actions=request_views(actions, stored),
    )


async def _elsewhere(tx: Transaction, viewer: Viewer, name: str) -> str | None:
    """Where what has this id is shown, if it is that of a response or of a request, and not of a session."""
    only = visible_user(viewer)
    if turn_id := turn_id_of(name):
        row = await session_of_turn(tx, viewer.organization_id, turn_id)
        session = await find_session(tx, viewer.organization_id, row, user_id=only) if row else None
        return session_path(session.public_id, session.user_id, turn=turn_id) if session else None
    return f"requests/{name}" if await find_request(tx, viewer.organization_id, name, user_id=only, limit=1) else None


async def _find(tx: Transaction, viewer: Viewer, public_id: str, user: str | None) -> list[SessionRow]:
    only = visible_user(viewer)
    if only is not None and user not in {None, only}:
        raise PageNotFoundError
    found = await find_sessions(tx, viewer.organization_id, public_id, user_id=only or user)
    if not found:
        raise PageNotFoundError
    return found


async def _show_message(request: Request, viewer: Viewer, tx: Transaction, row: SessionRow, position: int) -> Response:
    if not may_read(viewer, row.user_id):
        raise PageNotFoundError
    rows = await list_messages(tx, row.id, begin=position, limit=1, most_characters=_MOST_OF_A_MESSAGE)
    if not rows:
        raise PageNotFoundError
    (turn,) = transcript_of(rows, {}, is_whole=True)
    session = view_of(row, viewer)
    return render(
        request,
        "sessions/message.html",
        viewer,
        title=f"Message {position + 1}",
        here="sessions",
        session=session,
        said=[*turn.said, *turn.replaced][0],
        back=session_path(session.name, session.user_id, turn=turn.id, begin=max(0, position - 5)),
        position=position,
    )


def _before(cursor: str | None) -> tuple[datetime, UUID] | None:
    position = read_position(cursor, str, str)
    if position is None:
        return None
    try:
        return datetime.fromisoformat(str(position[0])), UUID(str(position[1]))
    except ValueError:
        return None
