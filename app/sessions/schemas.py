from typing import Any, Self

from pydantic import BaseModel

from app.core.clock import Seconds, now
from app.core.page import Page
from app.sessions.listing import SessionActivity, SessionStatus
from app.sessions.messages import ListedMessage
from app.sessions.models import Session

_SECONDS_PER_HOUR = 3600
_LEFT_OUT = "(Left out: this page would be too large. Ask for fewer messages at once.)"


class SessionRead(BaseModel):
    """A session in a list."""

    session_id: str
    created_at: Seconds
    last_update_time: Seconds
    is_active: bool
    message_count: int

    @classmethod
    def of(cls, session: Session, active_hours: float) -> Self:
        """The session as a list shows it. It is active for `active_hours` after its last update."""
        return cls(
            session_id=session.public_id,
            created_at=session.created_at,
            last_update_time=session.last_update_time,
            is_active=_is_active(session, active_hours),
            message_count=session.message_count,
        )


class SessionPageRead(BaseModel):
    """One page of sessions, the most recently updated first."""

    sessions: list[SessionRead]
    total: int
    page: int
    page_size: int
    has_next: bool

    @classmethod
    def of(cls, page: Page[Session], active_hours: float) -> Self:
        """The page as the API shows it."""
        return cls(
            sessions=[SessionRead.of(session, active_hours) for session in page.items],
            total=page.total,
            page=page.page,
            page_size=page.page_size,
            has_next=page.has_next,
        )


class MessageRead(BaseModel):
    """A message of a session. `agent` is the name of the agent that wrote it, null if the client did.

    A message is superseded if a later request has sent the conversation without it. Models do not see it any more.
    """

    id: str
    role: str
    content: Any
    agent: str | None
    tool_calls: list[Any] | None
    tool_call_id: str | None
    created_at: Seconds
    superseded: bool

    @classmethod
    def of(cls, message: ListedMessage) -> Self:
        """The message as the API shows it."""
        return cls(
            id=message.public_id,
            role=message.role,
            content=message.content if message.is_shown else _LEFT_OUT,
            agent=message.agent,
            tool_calls=message.tool_calls,
            tool_call_id=message.tool_call_id,
            created_at=message.created_at,
            superseded=message.is_superseded,
        )


class MessagePageRead(BaseModel):
    """One page of a session's messages, oldest first."""

    session_id: str
    messages: list[MessageRead]
    total: int
    page: int
    page_size: int
    has_next: bool

    @classmethod
    def of(cls, session_id: str, page: Page[ListedMessage]) -> Self:
        """The page as the API shows it."""
        return cls(
            session_id=session_id,
            messages=[MessageRead.of(message) for message in page.items],
            total=page.total,
            page=page.page,
            page_size=page.page_size,
            has_next=page.has_next,
        )


class SessionStatusRead(BaseModel):
    """The state of a session."""

    session_id: str
    status: SessionStatus
    is_active: bool
    message_count: int
    last_update_time: Seconds
    pending_content: int

    @classmethod
    def of(cls, activity: SessionActivity, active_hours: float) -> Self:
        """The state as the API shows it. A session is active for `active_hours` after its last update."""
        session = activity.session
        return cls(
            session_id=session.public_id,
            status=activity.status,
            is_active=_is_active(session, active_hours),
            message_count=session.message_count,
            last_update_time=session.last_update_time,
            pending_content=activity.pending_content,
        )


def _is_active(session: Session, active_hours: float) -> bool:
    return (now() - session.last_update_time).total_seconds() < active_hours * _SECONDS_PER_HOUR
