"""What an organization's lists hold, counted row by row and as their totals are read, in one snapshot."""

import secrets
import uuid
from collections.abc import Mapping

from app.core.database import Database, Transaction
from app.list_counts.models import CountedList
from app.list_counts.repository import find_total
from tests.content.contents import insert_content
from tests.factories import Organization

_ONE_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_CONTENTS = """
SELECT count(*) FROM generations WHERE organization_id = $1 AND ($2::text IS NULL OR status = $2)
AND ($3::text IS NULL OR content_type = $3)
"""
_SESSIONS = "SELECT count(*) FROM sessions WHERE organization_id = $1 AND user_id = $2"
_INSERT_SESSIONS = """
INSERT INTO sessions (id, organization_id, user_id, public_id, message_count, last_turn_failed)
SELECT gen_random_uuid(), $1, $2, 'counted-' || gen_random_uuid(), 0, false FROM generate_series(1, $3::int)
"""
_FILTERS = [
    (status, kind)
    for status in (None, "pending", "processing", "completed", "failed")
    for kind in (None, "image", "video")
]
# Copies of one row, with ids and tokens of their own.
_COPY = """
INSERT INTO generations SELECT n.* FROM generations g, generate_series(1, $2::int) AS number, jsonb_populate_record(g,
    jsonb_build_object('claim', number, 'id', gen_random_uuid(), 'file_token', gen_random_uuid(),
                       'prediction_id', gen_random_uuid(),
                       'status', $3::text, 'content_type', $4::text, 'completed_at', $5::text, 'credit_cost', $6::text,
                       'error_message', $7::text)) AS n
WHERE g.id = $1
"""

Totals = Mapping[object, tuple[int, int]]


async def totals_of(database: Database, organization: Organization) -> Totals:
    """For each filter of contents, and for the sessions: how many there are, and how many are counted."""
    async with database.transaction() as tx:
        await tx.execute(_ONE_SNAPSHOT)
        found: dict[object, tuple[int, int]] = {}
        for status, kind in _FILTERS:
            found[status, kind] = (
                await tx.fetchval(_CONTENTS, organization.id, status, kind),
                await find_total(tx, organization.id, CountedList.CONTENT, status=status, content_type=kind),
            )
        found["sessions"] = (
            await tx.fetchval(_SESSIONS, organization.id, organization.user_id),
            await find_total(tx, organization.id, CountedList.SESSIONS, user_id=organization.user_id),
        )
    return found


def wrong(totals: Totals) -> Totals:
    """The totals that are not what there is."""
    return {name: both for name, both in totals.items() if both[0] != both[1]}


async def add_contents(
    tx: Transaction, model_id: uuid.UUID, count: int, status: str, content_type: str | None = None
) -> None:
    """Insert contents like that of the id by one statement."""
    ended, failed = status in {"completed", "failed"}, status == "failed"
    at, cost = ("2026-03-01T00:00:00Z", "0") if ended else (None, None)
    await tx.execute(_COPY, model_id, count, status, content_type, at, cost, "failed" if failed else None)


async def add_sessions(tx: Transaction, organization: Organization, count: int) -> None:
    """Insert sessions of the organization's owner by one statement."""
    await tx.execute(_INSERT_SESSIONS, organization.id, organization.user_id, count)


async def unfolded(database: Database, organization: Organization) -> int:
    """How many changes of the organization's counts are not added to them yet."""
    async with database.transaction() as tx:
        count: int = await tx.fetchval(
            "SELECT count(*) FROM list_count_changes WHERE organization_id = $1", organization.id
        )
    return count


async def first_content(database: Database, organization: Organization) -> uuid.UUID:
    """The id of a pending content that others can be made like."""
    content = await insert_content(database, organization, "pending", prompt=secrets.token_hex(4))
    return content.id
