"""The end of an attempt: its state, its charge and the start of the next generation, in one transaction."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from app.catalog.pricing import Cost
from app.core.database import Transaction
from app.core.json import storable_text
from app.credits import service as credits
from app.credits.metering import MeteredUse
from app.credits.models import EventKind
from app.generations import attempt_history, create_calls, parking
from app.generations.attempts import Attempt, ClaimedAttempt, StoredFile
from app.generations.due import COPY_GRACE, is_late_sql
from app.generations.service import hold_reference
from app.generations.states import CONDITIONS, State
from app.queue.protocol import WakeKind, WakeQueue

# Only if each path is one that the attempt has reserved: an object without a row would belong to nothing. Only outputs
# that complete an attempt are marked as verified: `find_abandoned` assumes that any other may be deleted.
_COMPLETE = f"""
WITH reserved AS MATERIALIZED (
    SELECT FROM outputs WHERE generation_id = $1 AND attempt = $2 AND storage_path = ANY ($6) FOR UPDATE
), completed AS (
    UPDATE generations
    SET status = 'completed', content_type = $4, credit_cost = $5, completed_at = now(), is_leased = false,
        outcome = NULL
    WHERE id = $1 AND retry_count = $2 AND claim = $3 AND {CONDITIONS[State.COPYING]}
      AND (SELECT count(*) FROM reserved) = cardinality($6)
    RETURNING id, retry_count
), verified AS (
    UPDATE outputs o SET size_bytes = v.size_bytes, sha256 = v.sha256
    FROM completed c, unnest($6::text[], $7::bigint[], $8::text[]) AS v (storage_path, size_bytes, sha256)
    WHERE o.generation_id = c.id AND o.attempt = c.retry_count AND o.storage_path = v.storage_path
)
SELECT id FROM completed
"""

_SET_COST = "UPDATE generations SET credit_cost = $3 WHERE id = $1 AND retry_count = $2"

# `claim` is incremented so that no holder of an earlier claim takes the row for its own.
_FAIL = """
WITH unended AS (
    SELECT id, outcome IS NOT NULL AS has_outcome FROM generations
    WHERE id = $1 AND retry_count = $2 AND {condition} FOR UPDATE
)
UPDATE generations
SET status = 'failed', error_message = $3, credit_cost = 0, completed_at = now(), is_parked = false, is_leased = false,
    outcome = NULL, claim = claim + 1
FROM unended WHERE generations.id = unended.id
RETURNING prediction_id, has_outcome
"""
_FAIL_CLAIMED = _FAIL.format(condition=f"claim = $4 AND ({CONDITIONS[State.STARTING]} OR {CONDITIONS[State.COPYING]})")
_FAIL_RUNNING = _FAIL.format(condition=f"prediction_id = $4 AND {CONDITIONS[State.RUNNING]}")
_FAIL_LATE = _FAIL.format(condition=is_late_sql(grace="$4", copy_grace="$5"))


async def complete(
    tx: Transaction,
    queue: WakeQueue,
    attempt: ClaimedAttempt,
    files: Sequence[StoredFile],
    cost: Cost,
    predict_time: Decimal | None,
) -> bool:
    """Complete the attempt with these files, charge it, and let the organization's next generation start.

    `predict_time` is in seconds; None if the vendor did not report it.

    Returns:
        False if the claim was lost, or one of the files does not belong to the attempt.
    """
    await parking.lock_organization(tx, attempt.organization_id)
    key = (attempt.generation_id, attempt.number)
    paths = [file.storage_path for file in files]
    sizes, hashes = [file.size_bytes for file in files], [file.sha256 for file in files]
    if await tx.fetchval(_COMPLETE, *attempt.key, files[0].content_type, cost.amount, paths, sizes, hashes) is None:
        return False
    ended = await credits.settle(
        tx,
        organization_id=attempt.organization_id,
        reference=hold_reference(*key),
        uses=[_use_of(attempt, cost, predict_time, len(files))],
        description=attempt.model,
    )
    charged = ended.charged if ended else Decimal(0)
    if charged != cost.amount:
        await tx.execute(_SET_COST, *key, charged)
    await attempt_history.record(tx, *key)
    await unpark_next(tx, queue, attempt.organization_id)
    return True


def _use_of(attempt: ClaimedAttempt, cost: Cost, predict_time: Decimal | None, outputs: int) -> MeteredUse:
    return MeteredUse(
        call_id=hold_reference(attempt.generation_id, attempt.number),
        kind=EventKind.GENERATION,
        agent=None,
        model=attempt.model,
        price_id=attempt.price_id,
        cost=cost.amount,
        is_estimated=cost.is_estimated,
        predict_time=predict_time,
        outputs=outputs,
    )


async def fail_claimed(tx: Transaction, queue: WakeQueue, attempt: ClaimedAttempt, error_message: str) -> bool:
    """End a claimed attempt at no cost, and let the organization's next generation start; False if it was lost."""
    return await _fail(tx, queue, attempt, error_message, _FAIL_CLAIMED, attempt.claim)


async def fail_running(tx: Transaction, queue: WakeQueue, attempt: Attempt, error_message: str) -> bool:
    """As `fail_claimed`, for an attempt whose prediction has failed; False if it does not run that prediction."""
    return await _fail(tx, queue, attempt, error_message, _FAIL_RUNNING, attempt.prediction_id)


async def fail_late(tx: Transaction, queue: WakeQueue, attempt: Attempt, error_message: str, grace: timedelta) -> bool:
    """As `fail_claimed`, for an attempt that `find_late` has found; False if it is not late any more."""
    return await _fail(tx, queue, attempt, error_message, _FAIL_LATE, grace, COPY_GRACE)


async def _fail(
    tx: Transaction, queue: WakeQueue, attempt: Attempt, error_message: str, statement: str, *values: object
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
    return True


async def unpark_next(tx: Transaction, queue: WakeQueue, organization_id: str) -> None:
    """Make as many parked generations of the organization due as may run now. Its lock must be held."""
    if await parking.unpark(tx, organization_id):
        queue.wake(tx, WakeKind.START)
