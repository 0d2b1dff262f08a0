"""The queue: rows that are due are claimed here, by one worker each, for as long as a lease lasts.

A claim locks rows with `FOR UPDATE SKIP LOCKED`, so that workers who claim at the same time get different rows. The
lease is the row's `due_at`: unless it is renewed, the row is due again when it ends, for whichever worker claims next.
Each claim has a number of its own, a fencing token. Every statement of its holder names it together with id, attempt
and state, and changes nothing if one of them differs: a worker that slept beyond its lease can do no harm.

Polls need no token: what the vendor says of a prediction is a fact, whoever reads it. Their statements name the attempt
and the prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from app.core.database import Transaction
from app.core.statements import Statements
from app.generations import create_calls, parking
from app.generations.attempts import ATTEMPT_COLUMNS, CLAIMED_COLUMNS, ClaimedAttempt, RunningAttempt
from app.generations.states import CONDITIONS, State

Row = TypeVar("Row")

# Due rows whose organizations are candidates for one claim.
_MOST_CANDIDATES = 50

_DUE_ORGANIZATIONS = f"""
SELECT organization_id
FROM (SELECT organization_id, due_at FROM generations
      WHERE {CONDITIONS[State.PENDING]} AND due_at <= now() AND deadline_at > now()
      ORDER BY due_at LIMIT $1) oldest
GROUP BY organization_id ORDER BY min(due_at)
"""

# Each organization starts as many as its plan still allows; its others are parked. `processing` rows are never parked;
# the condition says so to let the count use the index of active rows instead of reading every row that waits.
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
), claimed AS (
    UPDATE generations c
    SET status = CASE WHEN d.starts THEN 'processing' ELSE 'pending' END,
        started_at = CASE WHEN d.starts THEN now() END,
        due_at = CASE WHEN d.starts THEN now() + $3 ELSE c.due_at END,
        claim = c.claim + d.starts::int,
        is_leased = d.starts,
        is_parked = NOT d.starts
    FROM decided d WHERE c.id = d.id
    RETURNING {CLAIMED_COLUMNS}, d.starts, (
        SELECT k.prediction_id FROM create_calls k
        WHERE k.generation_id = c.id AND k.attempt = c.retry_count AND k.prediction_id IS NOT NULL
        ORDER BY k.sent_at, k.id LIMIT 1
    ) AS found_prediction_id
), opened AS ({create_calls.open_sql("claimed WHERE starts AND found_prediction_id IS NULL")})
SELECT * FROM claimed
"""

# Whose create call has not returned, and whose lease has ended so long ago.
IS_ORPHAN = f"{CONDITIONS[State.STARTING]} AND due_at <= now() - {{grace}}::interval AND deadline_at > now()"

_CLAIM_ORPHANS = f"""
UPDATE generations c SET due_at = now() + $3, claim = claim + 1, is_leased = true
WHERE id IN (
    SELECT id FROM generations
    WHERE {IS_ORPHAN.format(grace="$2")}
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING {CLAIMED_COLUMNS}, (
    SELECT k.prediction_id FROM create_calls k
    WHERE k.generation_id = c.id AND k.attempt = c.retry_count AND k.prediction_id IS NOT NULL
    ORDER BY k.sent_at, k.id LIMIT 1
) AS found_prediction_id
"""

_CLAIM_POLLS = f"""
UPDATE generations c
SET due_at = now() + LEAST($3::interval, GREATEST($2::interval, (now() - started_at) / 10))
WHERE id IN (
    SELECT id FROM generations
    WHERE {CONDITIONS[State.RUNNING]} AND due_at <= now() + $4::interval
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING {ATTEMPT_COLUMNS}, c.model, coalesce((
    SELECT a.missing_count FROM attempts a WHERE a.generation_id = c.id AND a.number = c.retry_count
), 0) AS missing_count
"""

# If the last claim was not handed over, its lease has run out: its holder may still write, so this claim's outputs get
# longer names.
_CLAIM_COPIES = f"""
UPDATE generations c
SET due_at = now() + $2, claim = claim + 1, lapses = lapses + is_leased::int, is_leased = true
WHERE id IN (
    SELECT id FROM generations
    WHERE {CONDITIONS[State.COPYING]} AND due_at <= now() AND deadline_at > now()
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING {CLAIMED_COLUMNS}
"""

_POSTPONE = f"""
UPDATE generations
SET status = 'pending', started_at = NULL, is_leased = false, due_at = now() + $4, failures = failures + $5
WHERE id = $1 AND retry_count = $2 AND claim = $3 AND {CONDITIONS[State.STARTING]}
RETURNING id
"""

_RENEW = f"""
UPDATE generations SET due_at = now() + $4
WHERE id = $1 AND retry_count = $2 AND claim = $3 AND {CONDITIONS[State.COPYING]}
RETURNING id
"""

# Nobody goes on copying after the deadline, so there is no reason to wait longer.
_HAND_OVER = f"""
UPDATE generations
SET due_at = LEAST(now() + $4, GREATEST(now(), deadline_at)), is_leased = false, failures = failures + $5
WHERE id = $1 AND retry_count = $2 AND claim = $3 AND {CONDITIONS[State.COPYING]}
RETURNING id
"""


@dataclass(frozen=True)
class Claimed(Generic[Row]):
    """Rows to work on now. If `is_final`, no other row was due when they were claimed."""

    rows: Sequence[Row]
    is_final: bool


async def claim_starts(tx: Transaction, limit: int, lease: timedelta) -> Claimed[ClaimedAttempt]:
    """Claim pending generations to start, oldest first, as many of each organization as its plan allows.

    Those that the plan does not allow yet are parked. For each start that may call the vendor, a create call is noted
    in the same transaction, so that the call is known even if its caller crashes.
    """
    # More than are wanted, so that there is another choice if the first of them are locked.
    due = [row["organization_id"] for row in await tx.fetch(_DUE_ORGANIZATIONS, max(limit, _MOST_CANDIDATES))]
    if not due:
        return Claimed([], is_final=True)
    locked = await parking.lock_organizations(tx, due, limit)
    rows = await tx.fetch(_CLAIM_STARTS, locked, limit, lease)
    claimed = [ClaimedAttempt.from_row(row) for row in rows if row["starts"]]
    return Claimed(claimed, is_final=len(rows) < limit and len(locked) == len(due))


async def claim_orphans(tx: Transaction, limit: int, grace: timedelta, lease: timedelta) -> list[ClaimedAttempt]:
    """Claim attempts whose create call never returned and whose lease ended `grace` ago. Their calls become lost."""
    orphans = [ClaimedAttempt.from_row(row) for row in await tx.fetch(_CLAIM_ORPHANS, limit, grace, lease)]
    if orphans:
        await create_calls.lose_calls_of(tx, orphans, look_after=lease)
    return orphans


async def claim_polls(
    run: Statements, limit: int, *, shortest: timedelta, longest: timedelta, ahead: timedelta
) -> list[RunningAttempt]:
    """Claim running attempts that are due to be polled within `ahead` from now.

    The next poll is due after a tenth of the time that the attempt has run, within the two bounds.
    """
    return [RunningAttempt.from_row(row) for row in await run.fetch(_CLAIM_POLLS, limit, shortest, longest, ahead)]


async def claim_copies(run: Statements, limit: int, lease: timedelta) -> Claimed[ClaimedAttempt]:
    """Claim attempts whose outputs wait to be copied, except those past their deadline."""
    rows = await run.fetch(_CLAIM_COPIES, limit, lease)
    return Claimed([ClaimedAttempt.from_row(row) for row in rows], is_final=len(rows) < limit)


async def postpone(tx: Transaction, attempt: ClaimedAttempt, wait: timedelta, *, is_failure: bool) -> bool:
    """Make a start that the vendor certainly did not accept pending again, due after the wait; False if it was lost."""
    return await tx.fetchval(_POSTPONE, *attempt.key, wait, int(is_failure)) is not None


async def renew(tx: Transaction, attempt: ClaimedAttempt, lease: timedelta) -> bool:
    """Renew the lease of a copy; False if it was lost."""
    return await tx.fetchval(_RENEW, *attempt.key, lease) is not None


async def hand_over(tx: Transaction, attempt: ClaimedAttempt, wait: timedelta, *, is_failure: bool) -> bool:
    """End the lease of a copy: it is due for any worker after the wait, or at its deadline; False if it was lost.

    The holder must have stopped writing: the next claim writes the same objects.
    """
    return await tx.fetchval(_HAND_OVER, *attempt.key, wait, int(is_failure)) is not None
