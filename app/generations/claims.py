"""The queue: rows that are due are claimed here, by one worker each, for as long as a lease lasts.

A claim locks rows with `FOR UPDATE SKIP LOCKED`, so that workers who claim at the same time get different rows. The
lease is the row's `due_at`: unless it is renewed, the row is due again when it ends, for whichever worker claims next.
Every other statement about a claimed row names its id, attempt and state, and changes nothing if one of them differs.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from app.core.database import Transaction
from app.generations import parking
from app.generations.attempts import ATTEMPT_COLUMNS, GENERATION_COLUMNS, Attempt, Generation
from app.generations.states import CONDITIONS, State

_DUE_ORGANIZATIONS = f"""
SELECT organization_id
FROM (SELECT organization_id, due_at FROM generated_content
      WHERE {CONDITIONS[State.PENDING]} AND due_at <= now() AND deadline_at > now()
      ORDER BY due_at LIMIT $1) oldest
GROUP BY organization_id ORDER BY min(due_at)
"""

# Of each organization as many start as its plan still allows; the others are parked. `processing` rows are never
# parked: saying so lets the count read the index of active rows instead of all that wait.
_CLAIM_STARTS = f"""
WITH capacity AS (
    SELECT o.id AS organization_id, p.concurrent_generations - (
        SELECT count(*) FROM generated_content r
        WHERE r.organization_id = o.id AND r.status = 'processing' AND NOT r.is_parked
    ) AS free
    FROM organizations o JOIN plans p ON p.name = o.plan_name WHERE o.id = ANY ($1::text[])
), due AS (
    SELECT id, organization_id, due_at FROM generated_content
    WHERE organization_id = ANY ($1::text[]) AND {CONDITIONS[State.PENDING]}
      AND due_at <= now() AND deadline_at > now()
    ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
), decided AS (
    SELECT due.id, row_number() OVER (PARTITION BY due.organization_id ORDER BY due.due_at, due.id) <= free AS starts
    FROM due JOIN capacity USING (organization_id)
)
UPDATE generated_content c
SET status = CASE WHEN d.starts THEN 'processing' ELSE 'pending' END,
    started_at = CASE WHEN d.starts THEN now() END,
    due_at = CASE WHEN d.starts THEN now() + $3 ELSE c.due_at END,
    is_parked = NOT d.starts
FROM decided d WHERE c.id = d.id
RETURNING {GENERATION_COLUMNS}, d.starts
"""

_CLAIM_ORPHANS = f"""
UPDATE generated_content c SET due_at = now() + $3
WHERE id IN (
    SELECT id FROM generated_content
    WHERE {CONDITIONS[State.STARTING]} AND due_at <= now() - $2::interval AND deadline_at > now()
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING {GENERATION_COLUMNS}
"""

_CLAIM_POLLS = f"""
UPDATE generated_content c
SET due_at = now() + LEAST($3::interval, GREATEST($2::interval, (now() - started_at) / 10))
WHERE id IN (
    SELECT id FROM generated_content
    WHERE {CONDITIONS[State.RUNNING]} AND due_at <= now() + $4::interval
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING {ATTEMPT_COLUMNS}
"""

_CLAIM_COPIES = f"""
UPDATE generated_content c SET due_at = now() + $2
WHERE id IN (
    SELECT id FROM generated_content
    WHERE {CONDITIONS[State.COPYING]} AND due_at <= now() AND deadline_at > now()
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING {GENERATION_COLUMNS}
"""

# `started_at` tells this start from a later one of the same attempt, whose response may still come.
_POSTPONE = f"""
UPDATE generated_content SET status = 'pending', started_at = NULL, due_at = now() + $4, setbacks = setbacks + $5
WHERE id = $1 AND retry_count = $2 AND started_at = $3 AND {CONDITIONS[State.STARTING]}
"""

_RENEW = f"""
UPDATE generated_content SET due_at = now() + $3
WHERE id = $1 AND retry_count = $2 AND {CONDITIONS[State.COPYING]}
RETURNING id
"""

# After the deadline nobody goes on, so nothing is gained by waiting longer.
_HAND_OVER = f"""
UPDATE generated_content
SET due_at = LEAST(now() + $3, GREATEST(now(), deadline_at)), setbacks = setbacks + $4
WHERE id = $1 AND retry_count = $2 AND {CONDITIONS[State.COPYING]}
"""


@dataclass(frozen=True)
class ClaimedStarts:
    """The generations to start now. With `is_final` no other row was due when they were claimed."""

    generations: list[Generation]
    is_final: bool


async def claim_starts(tx: Transaction, limit: int, lease: timedelta) -> ClaimedStarts:
    """Claim pending generations to be started, oldest first, as many of an organization as its plan allows.

    Those that the plan does not allow yet are parked.
    """
    due = [row["organization_id"] for row in await tx.fetch(_DUE_ORGANIZATIONS, limit)]
    if not due:
        return ClaimedStarts([], is_final=True)
    rows = await tx.fetch(_CLAIM_STARTS, await parking.lock_organizations(tx, due), limit, lease)
    return ClaimedStarts([Generation.from_row(row) for row in rows if row["starts"]], is_final=False)


async def claim_orphans(tx: Transaction, limit: int, grace: timedelta, lease: timedelta) -> list[Generation]:
    """Claim attempts whose create call never came back and whose lease ended `grace` ago."""
    return [Generation.from_row(row) for row in await tx.fetch(_CLAIM_ORPHANS, limit, grace, lease)]


async def claim_polls(
    tx: Transaction, limit: int, *, shortest: timedelta, longest: timedelta, ahead: timedelta
) -> list[Attempt]:
    """Claim running attempts that are due to be polled within `ahead` from now.

    The next poll is due after a tenth of the time that the attempt has run, within the two bounds.
    """
    return [Attempt.from_row(row) for row in await tx.fetch(_CLAIM_POLLS, limit, shortest, longest, ahead)]


async def claim_copies(tx: Transaction, limit: int, lease: timedelta) -> list[Generation]:
    """Claim attempts whose outputs wait to be copied; none after its deadline."""
    return [Generation.from_row(row) for row in await tx.fetch(_CLAIM_COPIES, limit, lease)]


async def postpone(tx: Transaction, generation: Generation, wait: timedelta, *, is_setback: bool) -> None:
    """Make a start that the vendor certainly did not accept pending again, due after the wait."""
    await tx.execute(_POSTPONE, generation.id, generation.attempt, generation.started_at, wait, int(is_setback))


async def renew(tx: Transaction, content_id: uuid.UUID, attempt: int, lease: timedelta) -> bool:
    """Renew the lease of a copy; False if the attempt is no longer being copied."""
    return await tx.fetchval(_RENEW, content_id, attempt, lease) is not None


async def hand_over(tx: Transaction, generation: Generation, wait: timedelta, *, is_setback: bool) -> None:
    """End the lease of a copy: it is due for any worker after the wait, or at its deadline."""
    await tx.execute(_HAND_OVER, generation.id, generation.attempt, wait, int(is_setback))
