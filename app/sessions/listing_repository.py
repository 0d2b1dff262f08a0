"""The SQL of what clients read of their conversations. `repository.py` holds the SQL of turns."""

import uuid
from collections.abc import Sequence

from asyncpg import Record
from sqlalchemy import ColumnElement, and_, func, select

from app.core.database import Transaction
from app.core.json import storable_text
from app.sessions.models import Session

_MESSAGES = """
SELECT id, role, CASE WHEN is_shown THEN content END AS content, agent,
       CASE WHEN is_shown THEN tool_calls END AS tool_calls, tool_call_id, created_at, is_shown
FROM (
    SELECT *, sum(size_bytes) OVER (ORDER BY id) <= $4 OR row_number() OVER (ORDER BY id) = 1 AS is_shown
    FROM (SELECT * FROM messages WHERE session_id = $1 ORDER BY id OFFSET $2 LIMIT $3) page
) shown
ORDER BY id
"""


def _is_owned(organization_id: str, user_id: str) -> ColumnElement[bool]:
    return and_(Session.organization_id == organization_id, Session.user_id == user_id)


def _is_named(organization_id: str, user_id: str, public_id: str) -> ColumnElement[bool]:
    # A name comes as the client wrote it; Postgres refuses some characters that a URL can hold.
    return and_(_is_owned(organization_id, user_id), Session.public_id == storable_text(public_id))


async def count_sessions(tx: Transaction, organization_id: str, user_id: str) -> int:
    """How many sessions the user has in the organization."""
    query = select(func.count()).select_from(Session).where(_is_owned(organization_id, user_id))
    return await tx.session.scalar(query) or 0


async def list_sessions(
    tx: Transaction, organization_id: str, user_id: str, *, offset: int, limit: int
) -> Sequence[Session]:
    """One page of the user's sessions, the one that was updated last first."""
    query = (
        select(Session)
        .where(_is_owned(organization_id, user_id))
        .order_by(Session.last_update_time.desc(), Session.id.desc())
        .offset(offset)
        .limit(limit)
    )
    return (await tx.session.scalars(query)).all()


async def find_session(tx: Transaction, organization_id: str, user_id: str, public_id: str) -> Session | None:
    """The user's session of that name."""
    query = select(Session).where(_is_named(organization_id, user_id, public_id))
    return (await tx.session.scalars(query)).first()


async def list_messages(
    tx: Transaction, session_id: uuid.UUID, *, offset: int, limit: int, most_bytes: int
) -> Sequence[Record]:
    """One page of a session's messages, oldest first. Those beyond so many bytes of JSON are not `is_shown`.

    The first of a page always is: whoever asks for one message at a time gets each of them whole.
    """
    return await tx.fetch(_MESSAGES, session_id, offset, limit, most_bytes)


async def find_activity(
    tx: Transaction, organization_id: str, user_id: str, public_id: str
) -> tuple[Session, bool] | None:
    """The user's session of that name, and whether a turn runs on it."""
    # By the clock that leases are written by, which is the database's.
    is_running = func.coalesce(Session.turn_lease_until > func.now(), False)
    query = select(Session, is_running).where(_is_named(organization_id, user_id, public_id))
    row = (await tx.session.execute(query)).first()
    return None if row is None else (row[0], row[1])
