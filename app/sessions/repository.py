"""The SQL of conversations. What runs once per turn is a single statement on the driver's own connection."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from asyncpg import Record
from sqlalchemy import ColumnElement, Integer, and_, bindparam, func, select

from app.core.concurrency import in_slices
from app.core.database import Database, Transaction
from app.core.json import storable_text
from app.list_counts.models import CountedList
from app.list_counts.repository import find_total
from app.sessions.lease import LeasedSession
from app.sessions.messages import ListedMessage, StoredMessage
from app.sessions.models import Session
from app.sessions.reading import read_history, read_page

_LEASE_SESSION = """
UPDATE sessions SET turn_id = $4, turn_lease_until = now() + $5
WHERE organization_id = $1 AND user_id = $2 AND public_id = $3
  AND (turn_id IS NULL OR turn_lease_until <= now())
RETURNING id, public_id, turn_id
"""

_INSERT_SESSION = """
INSERT INTO sessions (id, organization_id, user_id, public_id, api_key_id, message_count, turn_id, turn_lease_until,
                      last_turn_failed)
VALUES ($1, $2, $3, $4, $5, 0, $6, now() + $7, false)
ON CONFLICT (organization_id, user_id, public_id) DO NOTHING
RETURNING id, public_id, turn_id
"""

_SESSION_EXISTS = """
SELECT EXISTS (SELECT FROM sessions WHERE organization_id = $1 AND user_id = $2 AND public_id = $3)
"""

_RENEW_LEASE = "UPDATE sessions SET turn_lease_until = now() + $3 WHERE id = $1 AND turn_id = $2"

_MESSAGE = "id, turn_id, agent, role, content::text, tool_calls::text, tool_call_id, name, additions::text"


def _history(*, session: str, limit: str, most_bytes: str) -> str:
    return f"""
    SELECT {_MESSAGE}
    FROM (
        SELECT m.*, sum(size_bytes + coalesce(additions_bytes, 0)) OVER (ORDER BY id DESC) AS size
        FROM messages m WHERE session_id = {session} AND superseded_by IS NULL ORDER BY id DESC LIMIT {limit}
    ) newest
    WHERE size <= {most_bytes}
    """


_SELECT_HISTORY = f"{_history(session='$1', limit='$2', most_bytes='$3')} ORDER BY id"

# The history is what it was when the statement began. If another turn has ended since, it is not that of the session
# that is leased, which shows by the session's count and time.
_LEASE_AND_SELECT_HISTORY = f"""
WITH seen AS (
    SELECT message_count, last_update_time FROM sessions
    WHERE organization_id = $1 AND user_id = $2 AND public_id = $3
), leased AS ({_LEASE_SESSION}, message_count, last_update_time),
history AS ({_history(session="(SELECT id FROM leased)", limit="$6", most_bytes="$7")})
SELECT leased.id AS session_id, leased.public_id, leased.turn_id AS leased_to,
       (seen.message_count, seen.last_update_time) = (leased.message_count, leased.last_update_time) AS is_current,
       history.*
FROM leased JOIN seen ON true LEFT JOIN history ON true
ORDER BY history.id
"""

_END_LEASE = "UPDATE sessions SET turn_id = NULL, turn_lease_until = NULL WHERE id = $1 AND turn_id = $2 RETURNING id"

_APPEND_MESSAGES_AND_END_LEASE = """
WITH ended AS (
    UPDATE sessions SET message_count = message_count + cardinality($3::text[]), last_update_time = now(),
                        turn_id = NULL, turn_lease_until = NULL, last_turn_failed = $10
    WHERE id = $1 AND turn_id = $2
    RETURNING id
)
INSERT INTO messages (session_id, turn_id, role, content, agent, tool_calls, tool_call_id, name, additions,
                      additions_bytes)
SELECT ended.id, $2, m.role, m.content, m.agent, m.tool_calls, m.tool_call_id, m.name, m.additions,
       octet_length(m.additions::text)
FROM ended, unnest($3::text[], $4::jsonb[], $5::text[], $6::jsonb[], $7::text[], $8::text[], $9::jsonb[])
            WITH ORDINALITY AS m(role, content, agent, tool_calls, tool_call_id, name, additions, position)
ORDER BY position
"""

_SUPERSEDE_MESSAGES = """
WITH leased AS (SELECT id FROM sessions WHERE id = $1 AND turn_id = $2 FOR UPDATE)
UPDATE messages SET superseded_by = $2 FROM leased
WHERE messages.session_id = leased.id AND messages.id = ANY($3::bigint[]) AND superseded_by IS NULL
"""

# Nobody is waited for: who has locked the row is about to use the session.
_LEASE_FREE = """
WITH free AS (
    SELECT id FROM sessions WHERE id = $1 AND (turn_id IS NULL OR turn_lease_until <= now()) FOR UPDATE SKIP LOCKED
)
UPDATE sessions SET turn_id = $2, turn_lease_until = now() + $3 FROM free WHERE sessions.id = free.id
RETURNING sessions.id, public_id, sessions.turn_id
"""

_LAST_TURN = "SELECT turn_id FROM messages WHERE session_id = $1 ORDER BY id DESC LIMIT 1"

# What was in force when the turn $2 had ended: a message that was replaced later was so, too.
_UNTIL = """
    SELECT * FROM (
        SELECT m.*, sum(size_bytes + coalesce(additions_bytes, 0)) OVER (ORDER BY m.id DESC) AS size
        FROM messages m, (SELECT max(id) AS id FROM messages WHERE session_id = $1 AND turn_id = $2) last
        WHERE session_id = $1 AND m.id <= last.id AND (superseded_by IS NULL OR NOT EXISTS (
            SELECT FROM messages n WHERE n.session_id = $1 AND n.turn_id = m.superseded_by AND n.id <= last.id
        ))
        ORDER BY m.id DESC LIMIT $3
    ) newest
    WHERE size <= $4
"""
_SELECT_UNTIL = f"SELECT {_MESSAGE} FROM ({_UNTIL}) until ORDER BY id"

_COPY_UNTIL = f"""
WITH until AS ({_UNTIL}), copied AS (
    INSERT INTO messages (session_id, turn_id, role, content, agent, tool_calls, tool_call_id, name, additions,
                          additions_bytes, created_at)
    SELECT $5, turn_id, role, content, agent, tool_calls, tool_call_id, name, additions, additions_bytes, created_at
    FROM until ORDER BY id
    RETURNING 1
)
UPDATE sessions SET message_count = (SELECT count(*) FROM copied) WHERE id = $5
"""

_SELECT_PAGE_OF_MESSAGES = """
SELECT id, session_id, role, CASE WHEN is_shown THEN content::text END AS content, agent,
       CASE WHEN is_shown THEN tool_calls::text END AS tool_calls, tool_call_id, created_at,
       superseded_by IS NOT NULL AS is_superseded, is_shown
FROM (
    SELECT *, sum(size_bytes) OVER (ORDER BY id) <= $3 OR row_number() OVER (ORDER BY id) = 1 AS is_shown
    FROM (SELECT id FROM messages WHERE session_id = $1 ORDER BY id OFFSET $2 LIMIT {limit}) page
    JOIN messages USING (id)
) shown
ORDER BY id
"""


async def lease_session(
    tx: Transaction, organization_id: str, user_id: str, public_id: str, turn_id: str, lease: timedelta
) -> LeasedSession | None:
    """Lease an existing session of the user to a turn. None if there is no such session, or another turn has it."""
    row = await tx.fetchrow(_LEASE_SESSION, organization_id, user_id, public_id, turn_id, lease)
    return LeasedSession.from_row(row) if row else None


async def lease_and_find_history(
    database: Database,
    organization_id: str,
    user_id: str,
    public_id: str,
    turn_id: str,
    lease: timedelta,
    limit: int,
    most_bytes: int,
) -> tuple[LeasedSession, Sequence[StoredMessage] | None] | None:
    """As `lease_session` and `find_history`, in one statement.

    The history is None if another turn has ended at this moment: then it has to be read once more.
    """
    owned = (organization_id, user_id, public_id)
    rows = await database.fetch(_LEASE_AND_SELECT_HISTORY, *owned, turn_id, lease, limit, most_bytes)
    if not rows:
        return None
    first = rows[0]
    session = LeasedSession(first["session_id"], first["public_id"], first["leased_to"])
    if not first["is_current"]:
        return session, None
    return session, await _history_of([row for row in rows if row["id"] is not None])


async def end_lease(database: Database, session: LeasedSession) -> None:
    """End the turn's lease, and change nothing else."""
    await database.fetch(_END_LEASE, session.id, session.turn_id)


async def insert_session(
    tx: Transaction,
    organization_id: str,
    user_id: str,
    public_id: str,
    api_key_id: str | None,
    turn_id: str,
    lease: timedelta,
) -> LeasedSession | None:
    """Insert a session of the user, leased to a turn. None if the user already has one of that name."""
    owned = (organization_id, user_id, public_id)
    row = await tx.fetchrow(_INSERT_SESSION, uuid.uuid4(), *owned, api_key_id, turn_id, lease)
    return LeasedSession.from_row(row) if row else None


async def session_exists(tx: Transaction, organization_id: str, user_id: str, public_id: str) -> bool:
    """Whether the user has a session of that name."""
    return bool(await tx.fetchval(_SESSION_EXISTS, organization_id, user_id, public_id))


async def renew_lease(tx: Transaction, session: LeasedSession, lease: timedelta) -> None:
    """Extend the turn's lease to this long from now, unless the turn has lost it."""
    await tx.execute(_RENEW_LEASE, session.id, session.turn_id, lease)


async def find_history(
    run: Transaction | Database, session_id: uuid.UUID, limit: int, most_bytes: int
) -> Sequence[StoredMessage]:
    """The newest messages in force: at most `limit`, with at most `most_bytes` of JSON and not too many values of it.

    The oldest comes first.
    """
    return await _history_of(await run.fetch(_SELECT_HISTORY, session_id, limit, most_bytes))


async def lease_if_last(
    tx: Transaction, session_id: uuid.UUID, last_turn: str, turn_id: str, lease: timedelta
) -> LeasedSession | None:
    """Lease the session to a turn. None if it is in use, or if something was said in it since that last turn."""
    row = await tx.fetchrow(_LEASE_FREE, session_id, turn_id, lease)
    if row is None:
        return None
    # Read once the session is leased, so that no other turn can end any more.
    session = LeasedSession.from_row(row)
    if await tx.fetchval(_LAST_TURN, session_id) == last_turn:
        return session
    await tx.execute(_END_LEASE, session_id, turn_id)
    return None


async def find_history_until(
    tx: Transaction, session_id: uuid.UUID, turn_id: str, limit: int, most_bytes: int
) -> Sequence[StoredMessage]:
    """As `find_history`, of the messages that were in force when the turn had ended."""
    return await _history_of(await tx.fetch(_SELECT_UNTIL, session_id, turn_id, limit, most_bytes))


async def copy_until(
    tx: Transaction, session_id: uuid.UUID, turn_id: str, limit: int, most_bytes: int, target: uuid.UUID
) -> None:
    """Copy the same messages to a new session."""
    await tx.execute(_COPY_UNTIL, session_id, turn_id, limit, most_bytes, target)


async def supersede_messages(tx: Transaction, session: LeasedSession, ids: Sequence[int]) -> None:
    """Mark the messages of these ids as replaced by the turn. Does nothing if the turn has lost the lease."""
    await tx.execute(_SUPERSEDE_MESSAGES, session.id, session.turn_id, list(ids))


async def append_messages_and_end_lease(
    tx: Transaction, session: LeasedSession, columns: Sequence[Sequence[str | None]], *, failed: bool
) -> None:
    """Store the turn's messages and end its lease. Does nothing if the turn has lost the lease.

    Args:
        tx: the transaction.
        session: the session.
        columns: one list per column: roles, contents, agents, tool calls, tool call ids, names, additions.
        failed: whether the turn failed.
    """
    await tx.execute(_APPEND_MESSAGES_AND_END_LEASE, session.id, session.turn_id, *columns, failed)


async def count_sessions(tx: Transaction, organization_id: str, user_id: str) -> int:
    """How many sessions the user has in the organization, without reading them."""
    return await find_total(tx, organization_id, CountedList.SESSIONS, user_id=user_id)


async def list_sessions(
    tx: Transaction, organization_id: str, user_id: str, *, offset: int, limit: int
) -> Sequence[Session]:
    """One page of the user's sessions, the most recently updated first.

    What comes before the page is passed over in an index; only the page's own rows are read.
    """
    newest_first = (Session.last_update_time.desc(), Session.id.desc())
    owned = _is_owned(organization_id, user_id)
    # Written out, so that a plan that is kept for all parameters knows how few rows these are.
    size = bindparam(None, limit, Integer, literal_execute=True)
    page = select(Session.id).where(owned).order_by(*newest_first).offset(offset).limit(size).subquery()
    query = select(Session).join(page, page.c.id == Session.id).order_by(*newest_first)
    return (await tx.session.scalars(query)).all()


async def find_session(tx: Transaction, organization_id: str, user_id: str, public_id: str) -> Session | None:
    """The user's session of that name."""
    query = select(Session).where(_is_named(organization_id, user_id, public_id))
    return (await tx.session.scalars(query)).first()


async def list_messages(
    tx: Transaction, session_id: uuid.UUID, *, offset: int, limit: int, most_bytes: int
) -> Sequence[ListedMessage]:
    """One page of a session's messages, oldest first.

    Those beyond `most_bytes` of JSON, or beyond very many values, are not `is_shown`.

    The first message of a page is always shown, so a client that asks for one message at a time gets each in full.
    """
    # The limit is written out, so that a plan that is kept for all parameters knows how few rows these are.
    rows = await tx.fetch(_SELECT_PAGE_OF_MESSAGES.format(limit=int(limit)), session_id, offset, most_bytes)
    return await read_page([ListedMessage.from_row(row) for row in rows])


async def find_activity(
    tx: Transaction, organization_id: str, user_id: str, public_id: str
) -> tuple[Session, bool] | None:
    """The user's session of that name, and whether a turn is running on it."""
    # Compared by the clock of Postgres, which also set the lease.
    is_running = func.coalesce(Session.turn_lease_until > func.now(), False)
    query = select(Session, is_running).where(_is_named(organization_id, user_id, public_id))
    row = (await tx.session.execute(query)).first()
    return None if row is None else (row[0], row[1])


async def _history_of(rows: Sequence[Record]) -> Sequence[StoredMessage]:
    return await read_history(await in_slices(StoredMessage.from_row, rows))


def _is_owned(organization_id: str, user_id: str) -> ColumnElement[bool]:
    return and_(Session.organization_id == organization_id, Session.user_id == user_id)


def _is_named(organization_id: str, user_id: str, public_id: str) -> ColumnElement[bool]:
    # The name comes from a URL, which may contain characters that Postgres refuses.
    return and_(_is_owned(organization_id, user_id), Session.public_id == storable_text(public_id))
