from fastapi import APIRouter
from starlette.convertors import PathConvertor, register_url_convertor

from app.core.documentation import may_raise
from app.core.pagination import PageNumber, PageSize
from app.dependencies import TransactionDep
from app.rate_limits.dependencies import GuardedRoute
from app.sessions import listing
from app.sessions.dependencies import ActiveHoursDep, SessionsReader
from app.sessions.errors import SessionNotFoundError
from app.sessions.schemas import MessagePageRead, SessionPageRead, SessionStatusRead


class _NameConvertor(PathConvertor):
    """Any text: clients may name sessions themselves, and a name may contain slashes and line breaks."""

    regex = "(?s:.*)"


register_url_convertor("session_name", _NameConvertor())
router = APIRouter(prefix="/api/external/sessions", tags=["Sessions"], route_class=GuardedRoute)


@router.get("")
async def list_sessions(
    caller: SessionsReader,
    tx: TransactionDep,
    active_hours: ActiveHoursDep,
    page: PageNumber = 1,
    page_size: PageSize = 20,
) -> SessionPageRead:
    """A page of the sessions of the user who created the key, the most recently updated first."""
    found = await listing.list_sessions(tx, caller, page=page, page_size=page_size)
    return SessionPageRead.of(found, active_hours)


@router.get("/{session_id:session_name}/messages")
@may_raise(SessionNotFoundError)
async def list_messages(
    session_id: str, caller: SessionsReader, tx: TransactionDep, page: PageNumber = 1, page_size: PageSize = 20
) -> MessagePageRead:
    """A page of a session's messages, oldest first."""
    found = await listing.list_messages(tx, caller, session_id, page=page, page_size=page_size)
    return MessagePageRead.of(session_id, found)


@router.get("/{session_id:session_name}/status")
@may_raise(SessionNotFoundError)
async def get_status(
    session_id: str, caller: SessionsReader, tx: TransactionDep, active_hours: ActiveHoursDep
) -> SessionStatusRead:
    """Whether a turn is running on a session, how the last one ended, and how many generations have not ended."""
    activity = await listing.get_activity(tx, caller, session_id)
    return SessionStatusRead.of(activity, active_hours)
