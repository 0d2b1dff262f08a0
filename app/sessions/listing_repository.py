"""The SQL of what clients read of their conversations. `repository.py` holds the SQL of turns."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, func, select

from app.core.database import Transaction
from app.core.json import storable_text
from app.sessions.models import Message, Session


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
    tx: Transaction, organization_id: str, user_id: str, public_id: str, *, offset: int, limit: int
) -> Sequence[Message]:
    """One page of the messages of the user's session of that name, oldest first."""
    query = (
        select(Message)
        .join(Session, Session.id == Message.session_id)
        .where(_is_named(organization_id, user_id, public_id))
        .order_by(Message.id)
        .offset(offset)
        .limit(limit)
    )
    return (await tx.session.scalars(query)).all()


async def find_activity(
    tx: Transaction, organization_id: str, user_id: str, public_id: str
) -> tuple[Session, bool] | None:
    """The user's session of that name, and whether a turn runs on it."""
    # By the clock that leases are written by, which is the database's.
    is_running = func.coalesce(Session.turn_lease_until > func.now(), False)
    query = select(Session, is_running).where(_is_named(organization_id, user_id, public_id))
    row = (await tx.session.execute(query)).first()
    return None if row is None else (row[0], row[1])
