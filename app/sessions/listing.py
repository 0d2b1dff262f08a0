"""What clients can read of their sessions."""

from dataclasses import dataclass
from enum import StrEnum

from app.api_keys.caller import Caller
from app.content import service as content
from app.core.database import Transaction
from app.core.page import Page
from app.sessions import repository
from app.sessions.errors import SessionNotFoundError
from app.sessions.messages import MOST_BYTES_OF_A_PAGE, ListedMessage
from app.sessions.models import Session


class SessionStatus(StrEnum):
    IDLE = "idle"
    PROCESSING = "processing"
    FAILED = "failed"


@dataclass(frozen=True)
class SessionActivity:
    """The state of a session. `pending_content` counts its generations that have not ended."""

    session: Session
    status: SessionStatus
    pending_content: int


async def list_sessions(tx: Transaction, caller: Caller, *, page: int, page_size: int) -> Page[Session]:
    """One page of the caller's sessions, the most recently updated first."""
    owner = (caller.organization_id, caller.user_id)
    total = await repository.count_sessions(tx, *owner)
    offset = (page - 1) * page_size
    if offset >= total:
        return Page([], total, page, page_size)
    found = await repository.list_sessions(tx, *owner, offset=offset, limit=page_size)
    return Page(found, total, page, page_size)


async def list_messages(
    tx: Transaction, caller: Caller, session_name: str, *, page: int, page_size: int
) -> Page[ListedMessage]:
    """One page of the messages of one of the caller's sessions, oldest first.

    Messages that would make the page larger than 10 MB, or have very many values, are not `is_shown`.

    Raises:
        SessionNotFoundError: the caller has no session of that name.
    """
    session = await repository.find_session(tx, caller.organization_id, caller.user_id, session_name)
    if session is None:
        raise SessionNotFoundError(session_name)
    offset = (page - 1) * page_size
    if offset >= session.message_count:
        return Page([], session.message_count, page, page_size)
    found = await repository.list_messages(
        tx, session.id, offset=offset, limit=page_size, most_bytes=MOST_BYTES_OF_A_PAGE
    )
    return Page(found, session.message_count, page, page_size)


async def get_activity(tx: Transaction, caller: Caller, session_name: str) -> SessionActivity:
    """The state of one of the caller's sessions.

    Raises:
        SessionNotFoundError: the caller has no session of that name.
    """
    found = await repository.find_activity(tx, caller.organization_id, caller.user_id, session_name)
    if found is None:
        raise SessionNotFoundError(session_name)
    session, is_running = found
    pending_content = await content.count_unended(tx, caller.organization_id, session.id)
    return SessionActivity(session, _status_of(session, is_running=is_running), pending_content)


def _status_of(session: Session, *, is_running: bool) -> SessionStatus:
    if is_running:
        return SessionStatus.PROCESSING
    # A turn that has neither ended nor renewed its lease was lost with its process.
    has_failed = session.last_turn_failed or session.turn_id is not None
    return SessionStatus.FAILED if has_failed else SessionStatus.IDLE
