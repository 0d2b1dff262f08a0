"""The failure of an attempt: its state, its hold and the start of the next generation, in one transaction."""

from datetime import timedelta

from app.core.database import Transaction
from app.core.json import storable_text
from app.credits import service as credits
from app.generations import attempt_history, create_calls, parking
from app.generations.attempts import Attempt, ClaimedAttempt
from app.generations.due import COPY_GRACE, is_late_sql
from app.generations.service import hold_reference
from app.generations.states import CONDITIONS, State
from app.generations.telling import Announce
from app.queue.protocol import WakeKind, WakeQueue
from app.webhook_endpoints.models import EventType
from app.webhook_endpoints.outbox import wants_sql

# `claim` is incremented so that no holder of an earlier claim takes the row for its own.
_FAIL = f"""
WITH unended AS (
    SELECT id, outcome IS NOT NULL AS has_outcome FROM generations
    WHERE id = $1 AND retry_count = $2 AND {{condition}} FOR UPDATE
)
UPDATE generations
SET status = 'failed', error_message = $3, credit_cost = 0, completed_at = now(), is_parked = false, is_leased = false,
    outcome = NULL, claim = claim + 1
FROM unended WHERE generations.id = unended.id
RETURNING prediction_id, has_outcome, {wants_sql("generations.organization_id", EventType.CONTENT_FAILED)} AS is_wanted
"""
_FAIL_CLAIMED = _FAIL.format(condition=f"claim = $4 AND ({CONDITIONS[State.STARTING]} OR {CONDITIONS[State.COPYING]})")
_FAIL_RUNNING = _FAIL.format(condition=f"prediction_id = $4 AND {CONDITIONS[State.RUNNING]}")
_FAIL_LATE = _FAIL.format(condition=is_late_sql(grace="$4", copy_grace="$5"))


async def fail_claimed(
    tx: Transaction, queue: WakeQueue, announce: Announce, attempt: ClaimedAttempt, error_message: str
) -> bool:
    """End a claimed attempt at no cost, and let the organization's next generation start; False if it was lost.

    If an endpoint of the organization wants to be told of that, `announce` is called.
    """
    return await _fail(tx, queue, announce, attempt, error_message, _FAIL_CLAIMED, attempt.claim)


async def fail_running(
    tx: Transaction, queue: WakeQueue, announce: Announce, attempt: Attempt, error_message: str
) -> bool:
    """As `fail_claimed`, for an attempt whose prediction has failed; False if it does not run that prediction."""
    return await _fail(tx, queue, announce, attempt, error_message, _FAIL_RUNNING, attempt.prediction_id)


async def fail_late(
    tx: Transaction, queue: WakeQueue, announce: Announce, attempt: Attempt, error_message: str, grace: timedelta
) -> bool:
    """As `fail_claimed`, for an attempt that `find_late` has found; False if it is not late any more."""
    return await _fail(tx, queue, announce, attempt, error_message, _FAIL_LATE, grace, COPY_GRACE)


async def _fail(
    tx: Transaction,
    queue: WakeQueue,
    announce: Announce,
    attempt: Attempt,
    error_message: str,
    statement: str,
    *values: object,
) -> bool:
    await parking.lock_organization(tx, attempt.organization_id)
    message = storable_text(error_message) or "The generation failed without a reason"
    key = (attempt.generation_id, attempt.number)
    row = await tx.fetchrow(statement, *key, message, *values)
    if row is None:
        return False
    await attempt_history.record(tx, *key)
    if row["prediction_id"] is not None:
        await create_calls.record(tx, *key, row["prediction_id"])
    # What the vendor may still run for the attempt must not go on costing.
    await create_calls.order_cancels(tx, *key, but=row["prediction_id"] if row["has_outcome"] else None)
    await credits.void(tx, organization_id=attempt.organization_id, reference=hold_reference(*key))
    await unpark_next(tx, queue, attempt.organization_id)
    if row["is_wanted"]:
        await announce(tx, attempt.organization_id, [attempt.generation_id])
    return True


async def unpark_next(tx: Transaction, queue: WakeQueue, organization_id: str) -> None:
    """Make as many parked generations of the organization due as may run now. Its lock must be held."""
    if await parking.unpark(tx, organization_id):
        queue.wake(tx, WakeKind.START)
