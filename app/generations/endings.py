"""The end of an attempt: its state, its charge and the start of the next generation, in one transaction."""

from collections.abc import Sequence
from decimal import Decimal

from app.catalog.pricing import Cost
from app.core.database import Transaction, one_of
from app.core.json import storable_text
from app.credits import service as credits
from app.credits.metering import MeteredUse
from app.credits.models import EventKind
from app.generations import parking
from app.generations.attempts import Attempt, ClaimedAttempt, StoredFile
from app.generations.service import hold_reference
from app.generations.states import CONDITIONS, UNENDED, State
from app.queue.protocol import WakeKind, WakeQueue

# Only if each path is still the reserved one: another worker may have begun to store an output elsewhere. Only outputs
# that complete an attempt are marked as verified: `find_abandoned` assumes that any other may be deleted.
_COMPLETE = f"""
WITH reserved AS MATERIALIZED (
    SELECT FROM outputs WHERE generation_id = $1 AND attempt = $2 AND storage_path = ANY ($5) FOR UPDATE
), completed AS (
    UPDATE generations SET status = 'completed', content_type = $3, credit_cost = $4, completed_at = now(),
        outcome = NULL
    WHERE id = $1 AND retry_count = $2 AND {CONDITIONS[State.COPYING]}
      AND (SELECT count(*) FROM reserved) = cardinality($5)
    RETURNING id, retry_count
), verified AS (
    UPDATE outputs o SET size_bytes = v.size_bytes, sha256 = v.sha256
    FROM completed c, unnest($5::text[], $6::bigint[], $7::text[]) AS v (storage_path, size_bytes, sha256)
    WHERE o.generation_id = c.id AND o.attempt = c.retry_count AND o.storage_path = v.storage_path
)
SELECT id FROM completed
"""

_SET_COST = "UPDATE generations SET credit_cost = $3 WHERE id = $1 AND retry_count = $2"

_FAIL = f"""
UPDATE generations
SET status = 'failed', error_message = $3, credit_cost = 0, completed_at = now(), is_parked = false,
    outcome = NULL
WHERE id = $1 AND retry_count = $2 AND {one_of("status", UNENDED)}
RETURNING id
"""


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
        False if it has already ended, or one of the files does not belong to it any more.
    """
    await parking.lock_organization(tx, attempt.organization_id)
    key = (attempt.generation_id, attempt.number)
    paths = [file.storage_path for file in files]
    sizes, hashes = [file.size_bytes for file in files], [file.sha256 for file in files]
    if await tx.fetchval(_COMPLETE, *key, files[0].content_type, cost.amount, paths, sizes, hashes) is None:
        return False
    reference = hold_reference(*key)
    use = MeteredUse(
        call_id=reference,
        kind=EventKind.GENERATION,
        agent=None,
        model=attempt.model,
        price_id=attempt.price_id,
        cost=cost.amount,
        is_estimated=cost.is_estimated,
        predict_time=predict_time,
        outputs=len(files),
    )
    ended = await credits.settle(
        tx,
        organization_id=attempt.organization_id,
        reference=reference,
        uses=[use],
        description=attempt.model,
    )
    charged = ended.charged if ended else Decimal(0)
    if charged != cost.amount:
        await tx.execute(_SET_COST, *key, charged)
    await unpark_next(tx, queue, attempt.organization_id)
    return True


async def fail(tx: Transaction, queue: WakeQueue, attempt: Attempt, error_message: str) -> bool:
    """End the attempt at no cost, and let the organization's next generation start; False if it has already ended."""
    await parking.lock_organization(tx, attempt.organization_id)
    message = storable_text(error_message) or "The generation failed without a reason"
    if await tx.fetchval(_FAIL, attempt.generation_id, attempt.number, message) is None:
        return False
    reference = hold_reference(attempt.generation_id, attempt.number)
    await credits.void(tx, organization_id=attempt.organization_id, reference=reference)
    await unpark_next(tx, queue, attempt.organization_id)
    return True


async def unpark_next(tx: Transaction, queue: WakeQueue, organization_id: str) -> None:
    """Make as many parked generations of the organization due as may run now. Its lock must be held."""
    if await parking.unpark(tx, organization_id):
        queue.wake(tx, WakeKind.START)
