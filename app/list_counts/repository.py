"""The SQL of counts: what a list's total is, how changes are added to the counts, and how all of it is counted again.

A total is a count and the changes that are not in it yet, read by one statement. The transaction that adds changes to
the counts deletes them, so that whatever snapshot a reader has, each change is in it once.
"""

from app.core.database import Transaction
from app.list_counts.models import CountedList

COLUMNS = "organization_id, list, user_id, status, content_type"

# Every count as the tables themselves give it.
ACTUAL = f"""
SELECT organization_id, '{CountedList.CONTENT}' AS list, '' AS user_id, status,
       coalesce(content_type, '') AS content_type, count(*) AS n FROM generations GROUP BY 1, 4, 5
UNION ALL
SELECT organization_id, '{CountedList.SESSIONS}', user_id, '', '', count(*) FROM sessions GROUP BY 1, 3
"""
# Every part of every count; several rows may be about the same.
COUNTED = f"""
SELECT {COLUMNS}, total AS n FROM list_counts
UNION ALL
SELECT {COLUMNS}, change FROM list_count_changes
"""

_WANTED = """
organization_id = $1 AND list = $2 AND user_id = $3 AND ($4::text IS NULL OR status = $4)
AND ($5::text IS NULL OR content_type = $5)
"""
_TOTAL = f"""
SELECT coalesce(sum(n), 0)::bigint FROM (
    SELECT total AS n FROM list_counts WHERE {_WANTED}
    UNION ALL
    SELECT change FROM list_count_changes WHERE {_WANTED}
) counted
"""

# Any constant will do; see migrations/env.py and app/cli/server_role.py for others.
_LOCK_KEY = 74710003
_TRY_LOCK = f"SELECT pg_try_advisory_xact_lock({_LOCK_KEY})"
_LOCK = f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"

# In the order of the key, so that two transactions that do this never wait for each other in a circle.
_FOLD = f"""
WITH picked AS MATERIALIZED (
    SELECT organization_id, id FROM list_count_changes LIMIT $1 FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM list_count_changes c USING picked p WHERE c.organization_id = p.organization_id AND c.id = p.id
    RETURNING c.*
), added AS (
    INSERT INTO list_counts AS t ({COLUMNS}, total)
    SELECT {COLUMNS}, sum(change) FROM taken GROUP BY {COLUMNS} HAVING sum(change) <> 0 ORDER BY {COLUMNS}
    ON CONFLICT ({COLUMNS}) DO UPDATE SET total = t.total + excluded.total
)
SELECT count(*) FROM taken
"""
# What differs becomes a change like any other, so that it does not matter who writes or adds up meanwhile.
_CORRECT = f"""
WITH corrected AS (
    INSERT INTO list_count_changes ({COLUMNS}, change)
    SELECT {COLUMNS}, sum(n) FROM (
        {ACTUAL} UNION ALL SELECT {COLUMNS}, -n FROM ({COUNTED}) counted
    ) differences GROUP BY {COLUMNS} HAVING sum(n) <> 0
    RETURNING 1
)
SELECT count(*) FROM corrected
"""


async def find_total(
    tx: Transaction,
    organization_id: str,
    counted: CountedList,
    *,
    user_id: str = "",
    status: str | None = None,
    content_type: str | None = None,
) -> int:
    """How many rows of a list the organization has, exactly, as the transaction sees them.

    Args:
        tx: the transaction.
        organization_id: whose list.
        counted: which list.
        user_id: of sessions: whose.
        status: of contents: only those with this status.
        content_type: of contents: only those of this type.
    """
    total: int = await tx.fetchval(_TOTAL, organization_id, counted.value, user_id, status, content_type)
    return total


async def fold(tx: Transaction, limit: int) -> int:
    """Add up to so many changes to the counts. Returns how many; none while somebody else is doing so."""
    if not await tx.fetchval(_TRY_LOCK):
        return 0
    folded: int = await tx.fetchval(_FOLD, limit)
    return folded


async def correct(tx: Transaction) -> int:
    """Count everything again, and correct what differs. Returns how many counts were wrong.

    It reads all the lists' tables, and keeps nobody from changing them. The lock comes first: the statement after it
    sees what somebody else has corrected.
    """
    await tx.execute(_LOCK)
    corrected: int = await tx.fetchval(_CORRECT)
    return corrected
