"""The SQL of conversations: single statements, because each runs once per turn."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from asyncpg import Record

from app.core.database import Transaction

_TAKE = """
UPDATE sessions SET turn_id = $4, turn_lease_until = now() + $5
WHERE organization_id = $1 AND user_id = $2 AND public_id = $3
  AND (turn_id IS NULL OR turn_lease_until <= now())
RETURNING id, public_id
"""

_MAKE = """
INSERT INTO sessions (id, organization_id, user_id, public_id, message_count, turn_id, turn_lease_until,
                      last_turn_failed)
VALUES ($1, $2, $3, $4, 0, $5, now() + $6, false)
ON CONFLICT (organization_id, user_id, public_id) DO NOTHING
RETURNING id, public_id
"""

_EXISTS = "SELECT EXISTS (SELECT FROM sessions WHERE organization_id = $1 AND user_id = $2 AND public_id = $3)"

_RENEW = "UPDATE sessions SET turn_lease_until = now() + $3 WHERE id = $1 AND turn_id = $2"

_HISTORY = """
SELECT role, content, agent, tool_calls, tool_call_id, name
FROM (
    SELECT m.*, sum(size_bytes) OVER (ORDER BY id DESC) AS size
    FROM messages m WHERE session_id = $1 ORDER BY id DESC LIMIT $2
) newest
WHERE size <= $3
ORDER BY id
"""

_APPEND = """
WITH ended AS (
    UPDATE sessions SET message_count = message_count + cardinality($3::text[]), last_update_time = now(),
                        turn_id = NULL, turn_lease_until = NULL, last_turn_failed = $9
    WHERE id = $1 AND turn_id = $2
    RETURNING id
)
INSERT INTO messages (session_id, turn_id, role, content, agent, tool_calls, tool_call_id, name)
SELECT ended.id, $2, m.role, m.content, m.agent, m.tool_calls, m.tool_call_id, m.name
FROM ended, unnest($3::text[], $4::jsonb[], $5::text[], $6::jsonb[], $7::text[], $8::text[])
            WITH ORDINALITY AS m(role, content, agent, tool_calls, tool_call_id, name, place)
ORDER BY place
"""


async def take(
    tx: Transaction, organization_id: str, user_id: str, public_id: str, turn_id: str, lease: timedelta
) -> Record | None:
    """Lease the user's session to a turn; None where there is none, or another turn has it."""
    return await tx.fetchrow(_TAKE, organization_id, user_id, public_id, turn_id, lease)


async def make(
    tx: Transaction, organization_id: str, user_id: str, public_id: str, turn_id: str, lease: timedelta
) -> Record | None:
    """Make the user's session, leased to a turn; None where there is one of that name."""
    return await tx.fetchrow(_MAKE, uuid.uuid4(), organization_id, user_id, public_id, turn_id, lease)


async def exists(tx: Transaction, organization_id: str, user_id: str, public_id: str) -> bool:
    """Whether the user has a session of that name."""
    return bool(await tx.fetchval(_EXISTS, organization_id, user_id, public_id))


async def renew(tx: Transaction, session_id: uuid.UUID, turn_id: str, lease: timedelta) -> None:
    """Lengthen the turn's lease from now on."""
    await tx.execute(_RENEW, session_id, turn_id, lease)


async def history(tx: Transaction, session_id: uuid.UUID, limit: int, most_bytes: int) -> Sequence[Record]:
    """The newest messages that are together no larger than so many bytes of JSON, oldest of them first."""
    return await tx.fetch(_HISTORY, session_id, limit, most_bytes)


async def append_and_end_turn(
    tx: Transaction, session_id: uuid.UUID, turn_id: str, columns: Sequence[Sequence[str | None]], *, failed: bool
) -> None:
    """Add the turn's messages, given column by column, and end its lease; nothing where the lease is lost."""
    await tx.execute(_APPEND, session_id, turn_id, *columns, failed)
