"""How many generations of an organization run at once. What its plan does not allow yet is parked, outside the queue.

Whoever decides which generations of an organization run holds its lock, and takes it before any lock on their rows.
"""

from collections.abc import Sequence

from app.core.database import Transaction, one_of
from app.generations.states import CONDITIONS, UNENDED, State

_KEY = "hashtextextended('generations:' || {}, 0)"

_LOCK = f"SELECT pg_advisory_xact_lock({_KEY.format('$1')})"
_TRY_LOCK = f"""
SELECT organization_id FROM unnest($1::text[]) AS organization_id
WHERE pg_try_advisory_xact_lock({_KEY.format("organization_id")})
"""

_UNPARK = f"""
UPDATE generations SET is_parked = false, due_at = now()
WHERE id IN (SELECT id FROM generations
             WHERE organization_id = $1 AND {CONDITIONS[State.PARKED]}
             ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING id
"""

# Organizations with parked rows are found one by one through the index, however many rows each of them has.
_FREE_CAPACITY = f"""
WITH RECURSIVE waiting AS (
    (SELECT organization_id FROM generations WHERE {CONDITIONS[State.PARKED]} ORDER BY organization_id LIMIT 1)
    UNION ALL
    SELECT (SELECT organization_id FROM generations
            WHERE {CONDITIONS[State.PARKED]} AND organization_id > w.organization_id
            ORDER BY organization_id LIMIT 1)
    FROM waiting w WHERE w.organization_id IS NOT NULL
)
SELECT o.id AS organization_id, p.concurrent_generations - active.rows AS free
FROM waiting w JOIN organizations o ON o.id = w.organization_id JOIN plans p ON p.name = o.plan_name
CROSS JOIN LATERAL (
    SELECT count(*) AS rows FROM generations
    WHERE organization_id = o.id AND {one_of("status", UNENDED)} AND NOT is_parked
) active
WHERE active.rows < p.concurrent_generations
"""


async def lock_organization(tx: Transaction, organization_id: str) -> None:
    """Be alone in deciding which of the organization's generations run, until the transaction ends."""
    await tx.execute(_LOCK, organization_id)


async def lock_organizations(tx: Transaction, organization_ids: Sequence[str]) -> list[str]:
    """Lock the first of these organizations, waiting for it if need be, and those of the others that are free.

    To wait for several could end in a deadlock. Returns the ids of those that are locked now.
    """
    first, *others = organization_ids
    await lock_organization(tx, first)
    return [first, *(row["organization_id"] for row in await tx.fetch(_TRY_LOCK, others))] if others else [first]


async def unpark(tx: Transaction, organization_id: str, count: int) -> int:
    """Make the organization's oldest parked generations due now, `count` at most. How many they were."""
    return len(await tx.fetch(_UNPARK, organization_id, count))


async def find_free_capacity(tx: Transaction) -> list[tuple[str, int]]:
    """Organizations with parked generations although their plans allow more to run, and how many more."""
    return [(row["organization_id"], row["free"]) for row in await tx.fetch(_FREE_CAPACITY)]
