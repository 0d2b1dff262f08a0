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
from app.generations.attempts import ATTEMPT_COLUMNS, CLAIMED_COLUMNS, Attempt, ClaimedAttempt
from app.generations.states import CONDITIONS, State

# Due rows whose organizations are candidates for one claim.
_MOST_CANDIDATES = 50

_DUE_ORGANIZATIONS = f"""
SELECT organization_id
FROM (SELECT organization_id, due_at FROM generations
      WHERE {CONDITIONS[State.PENDING]} AND due_at <= now() AND deadline_at > now()
      ORDER BY due_at LIMIT $1) oldest
GROUP BY organization_id ORDER BY min(due_at)
"""

# Of each organization as many start as its plan still allows; the others are parked. `processing` rows are never
# parked: saying so lets the count read the index of active rows instead of all that wait.
_CLAIM_STARTS = f"""
WITH capacity AS (
    SELECT o.id AS organization_id, p.concurrent_generations - (
        SELECT count(*) FROM generations r
        WHERE r.organization_id = o.id AND r.status = 'processing' AND NOT r.is_parked
    ) AS free
    FROM organizations o JOIN plans p ON p.name = o.plan_name WHERE o.id = ANY ($1::text[])
), due AS (
    SELECT id, organization_id, due_at FROM generations
    WHERE organization_id = ANY ($1::text[]) AND {CONDITIONS[State.PENDING]}
      AND due_at <= now() AND deadline_at > now()
    ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
), decided AS (
    SELECT due.id, row_number() OVER (PARTITION BY due.organization_id ORDER BY due.due_at, due.id) <= free AS starts
    FROM due JOIN capacity USING (organization_id)
)
UPDATE generations c
SET status = CASE WHEN d.starts THEN 'processing' ELSE 'pending' END,
    started_at = CASE WHEN d.starts THEN now() END,
    due_at = CASE WHEN d.starts THEN now() + $3 ELSE c.due_at END,
    is_parked = NOT d.starts
FROM decided d WHERE c.id = d.id
RETURNING {CLAIMED_COLUMNS}, d.starts
"""

_CLAIM_ORPHANS = f"""
UPDATE generations c SET due_at = now() + $3
WHERE id IN (
    SELECT id FROM generations
    WHERE {CONDITIONS[State.STARTING]} AND due_at <= now() - $2::interval AND deadline_at > now()
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING {CLAIMED_COLUMNS}
"""

_CLAIM_POLLS = f"""
UPDATE generations c
SET due_at = now() + LEAST($3::interval, GREATEST($2::interval, (now() - started_at) / 10))
WHERE id IN (
    SELECT id FROM generations
    WHERE {CONDITIONS[State.RUNNING]} AND due_at <= now() + $4::interval
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING {ATTEMPT_COLUMNS}
"""

_CLAIM_COPIES = f"""
UPDATE generations c SET due_at = now() + $2
WHERE id IN (
    SELECT id FROM generations
    WHERE {CONDITIONS[State.COPYING]} AND due_at <= now() AND deadline_at > now()
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING {CLAIMED_COLUMNS}
"""

# `started_at` tells this start from a later one of the same attempt, whose response may still come.
_POSTPONE = f"""
UPDATE generations SET status = 'pending', started_at = NULL, due_at = now() + $4, failures = failures + $5
WHERE id = $1 AND retry_count = $2 AND started_at = $3 AND {CONDITIONS[State.STARTING]}
"""

_RENEW = f"""
UPDATE generations SET due_at = now() + $3
WHERE id = $1 AND retry_count = $2 AND {CONDITIONS[State.COPYING]}
RETURNING id
"""

# After the deadline nobody goes on, so nothing is gained by waiting longer.
_HAND_OVER = f"""
UPDATE generations
SET due_at = LEAST(now() + $3, GREATEST(now(), deadline_at)), failures = failures + $4
WHERE id = $1 AND retry_count = $2 AND {CONDITIONS[State.COPYING]}
"""


@dataclass(frozen=True)
class ClaimedStarts:
    """The attempts to start now. With `is_final` no other row was due when they were claimed."""

    attempts: list[ClaimedAttempt]
    is_final: bool


async def claim_starts(tx: Transaction, limit: int, lease: timedelta) -> ClaimedStarts:
    """Claim pending generations to be started, oldest first, as many of an organization as its plan allows.

    Those that the plan does not allow yet are parked.
    """
    # More than are wanted, so that there is another choice if the first of them are locked.
    due = [row["organization_id"] for row in await tx.fetch(_DUE_ORGANIZATIONS, max(limit, _MOST_CANDIDATES))]
    if not due:
        return ClaimedStarts([], is_final=True)
    locked = await parking.lock_organizations(tx, due, limit)
    rows = await tx.fetch(_CLAIM_STARTS, locked, limit, lease)
    return ClaimedStarts([ClaimedAttempt.from_row(row) for row in rows if row["starts"]], is_final=False)


async def claim_orphans(tx: Transaction, limit: int, grace: timedelta, lease: timedelta) -> list[ClaimedAttempt]:
    """Claim attempts whose create call never came back and whose lease ended `grace` ago."""
    return [ClaimedAttempt.from_row(row) for row in await tx.fetch(_CLAIM_ORPHANS, limit, grace, lease)]


async def claim_polls(
    tx: Transaction, limit: int, *, shortest: timedelta, longest: timedelta, ahead: timedelta
) -> list[Attempt]:
    """Claim running attempts that are due to be polled within `ahead` from now.

    The next poll is due after a tenth of the time that the attempt has run, within the two bounds.
    """
    return [Attempt.from_row(row) for row in await tx.fetch(_CLAIM_POLLS, limit, shortest, longest, ahead)]


async def claim_copies(tx: Transaction, limit: int, lease: timedelta) -> list[ClaimedAttempt]:
    """Claim attempts whose outputs wait to be copied; none after its deadline."""
    return [ClaimedAttempt.from_row(row) for row in await tx.fetch(_CLAIM_COPIES, limit, lease)]


async def postpone(tx: Transaction, attempt: ClaimedAttempt, wait: timedelta, *, is_failure: bool) -> None:
    """Make a start that the vendor certainly did not accept pending again, due after the wait."""
    await tx.execute(_POSTPONE, attempt.generation_id, attempt.number, attempt.started_at, wait, int(is_failure))


async def renew(tx: Transaction, generation_id: uuid.UUID, attempt: int, lease: timedelta) -> bool:
    """Renew the lease of a copy; False if the attempt is no longer being copied."""
    return await tx.fetchval(_RENEW, generation_id, attempt, lease) is not None


async def hand_over(tx: Transaction, attempt: ClaimedAttempt, wait: timedelta, *, is_failure: bool) -> None:
    """End the lease of a copy: it is due for any worker after the wait, or at its deadline."""
    await tx.execute(_HAND_OVER, attempt.generation_id, attempt.number, wait, int(is_failure))
