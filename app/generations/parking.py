"""How many generations of an organization run at once. What its plan does not allow yet is parked, outside the queue.

A transaction that decides which generations of an organization run holds the organization's lock, and takes it before
any lock on their rows.
"""

from collections.abc import Sequence

from app.core.database import Transaction, one_of
from app.generations.states import CONDITIONS, UNENDED, State

_UNPARKED = f"{one_of('status', UNENDED)} AND NOT is_parked"
_KEY = "hashtextextended('generations:' || {}, 0)"

# Like every wait for a lock it ends after two seconds: its organization waits, and no other one.
_LOCK = f"SELECT pg_advisory_xact_lock({_KEY.format('$1')})"

# The limit ends the scan, so that no more are locked than are wanted.
_TRY_LOCK = f"""
SELECT organization_id FROM unnest($1::text[]) AS organization_id
WHERE pg_try_advisory_xact_lock({_KEY.format("organization_id")}) LIMIT $2
"""

_ACTIVE = f"SELECT count(*) FROM generations WHERE organization_id = o.id AND {_UNPARKED}"

# The fixed limit tells the planner that few rows are wanted: with the other one alone it would sort all that wait. No
# row lock is needed: whoever changes a parked row holds the organization's lock.
_UNPARK = f"""
UPDATE generations SET is_parked = false, due_at = now()
WHERE id IN (
    SELECT id FROM (SELECT id, created_at FROM generations
                    WHERE organization_id = $1 AND {CONDITIONS[State.PARKED]} ORDER BY created_at LIMIT 100) oldest
    ORDER BY created_at
    LIMIT (SELECT GREATEST(0, p.concurrent_generations - ({_ACTIVE}))
           FROM organizations o JOIN plans p ON p.name = o.plan_name WHERE o.id = $1)
)
RETURNING id
"""

# Organizations with parked rows are found one by one through the index, however many rows each of them has.
FREE_CAPACITY = f"""
WITH RECURSIVE waiting AS (
    (SELECT organization_id FROM generations WHERE {CONDITIONS[State.PARKED]} ORDER BY organization_id LIMIT 1)
    UNION ALL
    SELECT (SELECT organization_id FROM generations
            WHERE {CONDITIONS[State.PARKED]} AND organization_id > w.organization_id
            ORDER BY organization_id LIMIT 1)
    FROM waiting w WHERE w.organization_id IS NOT NULL
)
SELECT o.id AS organization_id
FROM waiting w JOIN organizations o ON o.id = w.organization_id JOIN plans p ON p.name = o.plan_name
WHERE ({_ACTIVE}) < p.concurrent_generations
"""


async def lock_organization(tx: Transaction, organization_id: str) -> None:
    """Lock, so that no other transaction decides which of the organization's generations run.

    Raises:
        LockNotAvailableError: another transaction has held the lock for two seconds.
    """
    await tx.execute(_LOCK, organization_id)


async def lock_organizations(tx: Transaction, organization_ids: Sequence[str], limit: int) -> list[str]:
    """Lock the first of these organizations that no other transaction has locked, `limit` at most.

    If all of them are locked, wait for the first. To wait for several could end in a deadlock.

    Returns:
        The ids of those that are locked now.

    Raises:
        LockNotAvailableError: as `lock_organization`.
    """
    locked = [row["organization_id"] for row in await tx.fetch(_TRY_LOCK, organization_ids, limit)]
    if not locked:
        locked = [organization_ids[0]]
        await lock_organization(tx, locked[0])
    return locked


async def unpark(tx: Transaction, organization_id: str) -> int:
    """Make the organization's oldest parked generations due, as many as its plan lets run now, and 100 at most.

    Its lock must be held.

    Returns:
        How many they were.
    """
    return len(await tx.fetch(_UNPARK, organization_id))


async def find_free_capacity(tx: Transaction) -> list[str]:
    """The ids of organizations with parked generations although their plans allow more to run."""
    return [row["organization_id"] for row in await tx.fetch(FREE_CAPACITY)]
