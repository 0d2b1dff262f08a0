"""What the worker does to a content, each step fenced by its id, its attempt and its status.

A step that finds the row moved on returns None or False, and whoever asked stops: jobs may run twice, late, or in two
workers at once.
"""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from app.catalog.pricing import Cost
from app.core.database import Transaction
from app.core.json import storable_text
from app.credits import service as credits
from app.generations.attempts import Attempt, Generation, Outcome, StoredFile, read
from app.generations.service import hold_reference

_LOCK_ORGANIZATION = "SELECT pg_advisory_xact_lock(hashtextextended('generations:' || $1, 0))"

_BEGIN = """
UPDATE generated_content c
SET status = 'processing', started_at = now(), due_at = now() + $3, is_parked = false
FROM organizations o JOIN plans p ON p.name = o.plan_name
WHERE c.id = $1 AND c.retry_count = $2 AND c.status = 'pending' AND o.id = c.organization_id
  AND (SELECT count(*) FROM generated_content r
       WHERE r.organization_id = c.organization_id AND r.status = 'processing') < p.concurrent_generations
RETURNING c.*
"""

_QUEUE = """
UPDATE generated_content SET is_parked = true
WHERE id = $1 AND retry_count = $2 AND status = 'pending'
"""

_NEXT_QUEUED = """
UPDATE generated_content SET is_parked = false, due_at = now()
WHERE id IN (SELECT id FROM generated_content
             WHERE organization_id = $1 AND status = 'pending' AND is_parked
             ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING id, retry_count
"""

_FREE_PLACES = """
SELECT o.id AS organization_id, p.concurrent_generations - c.taken AS places
FROM (SELECT organization_id, count(*) FILTER (WHERE NOT is_parked) AS taken
      FROM generated_content WHERE status IN ('pending', 'processing')
      GROUP BY organization_id HAVING bool_or(is_parked)) c
JOIN organizations o ON o.id = c.organization_id JOIN plans p ON p.name = o.plan_name
WHERE c.taken < p.concurrent_generations
"""

# `started_at` tells this start from a later one of the same attempt, whose answer may still come.
_POSTPONE = """
UPDATE generated_content SET status = 'pending', started_at = NULL, due_at = now() + $4, setbacks = setbacks + $5
WHERE id = $1 AND retry_count = $2 AND started_at = $3 AND status = 'processing' AND prediction_id IS NULL
"""

_SET_PREDICTION = """
UPDATE generated_content SET prediction_id = $3, due_at = now() + $4, setbacks = 0
WHERE id = $1 AND retry_count = $2 AND status = 'processing' AND prediction_id IS NULL
RETURNING id
"""

_CLAIM_ORPHANS = """
UPDATE generated_content SET due_at = now() + $3
WHERE id IN (
    SELECT id FROM generated_content
    WHERE status = 'processing' AND prediction_id IS NULL AND outcome IS NULL
      AND due_at <= now() - $2::interval AND deadline_at > now()
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING *
"""

_CLAIM_POLLS = """
UPDATE generated_content SET due_at = now() + LEAST($3::interval, GREATEST($2::interval, (now() - started_at) / 10))
WHERE id IN (
    SELECT id FROM generated_content
    WHERE status = 'processing' AND prediction_id IS NOT NULL AND outcome IS NULL AND due_at <= now() + $4::interval
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING id, retry_count, organization_id, prediction_id, started_at, due_at, deadline_at
"""

_SET_OUTCOMES = """
UPDATE generated_content c SET outcome = o.outcome, output_url = o.output_url, due_at = now(), setbacks = 0
FROM unnest($1::uuid[], $2::int[], $3::jsonb[], $4::text[]) AS o (id, attempt, outcome, output_url)
WHERE c.id = o.id AND c.retry_count = o.attempt AND c.status = 'processing' AND c.outcome IS NULL
RETURNING c.id, c.retry_count
"""

_CLAIM_FINISH = """
UPDATE generated_content SET due_at = now() + $3
WHERE id = $1 AND retry_count = $2 AND status = 'processing' AND outcome IS NOT NULL
  AND due_at <= now() AND deadline_at > now()
RETURNING *
"""

_RENEW = """
UPDATE generated_content SET due_at = now() + $3
WHERE id = $1 AND retry_count = $2 AND status = 'processing' AND outcome IS NOT NULL
RETURNING id
"""

# After the deadline nobody goes on, so nothing is gained by waiting longer.
_HAND_OVER = """
UPDATE generated_content
SET due_at = LEAST(now() + $3, GREATEST(now(), deadline_at)), setbacks = setbacks + $4
WHERE id = $1 AND retry_count = $2 AND status = 'processing' AND outcome IS NOT NULL
"""

# Only with every output where it was reserved: another worker may have begun to store one of them elsewhere. Only what
# completes an attempt is written down as verified: `find_abandoned` takes everything else for what may go.
_COMPLETE = """
WITH reserved AS MATERIALIZED (
    SELECT FROM content_outputs WHERE content_id = $1 AND attempt = $2 AND storage_path = ANY ($5) FOR UPDATE
), completed AS (
    UPDATE generated_content SET status = 'completed', content_type = $3, credit_cost = $4, completed_at = now()
    WHERE id = $1 AND retry_count = $2 AND status = 'processing' AND (SELECT count(*) FROM reserved) = cardinality($5)
    RETURNING id, retry_count
), verified AS (
    UPDATE content_outputs o SET size_bytes = v.size_bytes, sha256 = v.sha256
    FROM completed c, unnest($5::text[], $6::bigint[], $7::text[]) AS v (storage_path, size_bytes, sha256)
    WHERE o.content_id = c.id AND o.attempt = c.retry_count AND o.storage_path = v.storage_path
)
SELECT id FROM completed
"""

_SET_COST = "UPDATE generated_content SET credit_cost = $3 WHERE id = $1 AND retry_count = $2"

_FAIL = """
UPDATE generated_content SET status = 'failed', error_message = $3, credit_cost = 0, completed_at = now()
WHERE id = $1 AND retry_count = $2 AND status IN ('pending', 'processing')
RETURNING id
"""

# A prediction that is known to be another content's is none of this one's.
_CALLED_BACK = """
UPDATE generated_content c SET due_at = now(), prediction_id = coalesce(prediction_id, $4)
WHERE id = $1 AND retry_count = $2 AND webhook_nonce = $3 AND status = 'processing' AND outcome IS NULL
  AND (prediction_id = $4 OR prediction_id IS NULL)
  AND NOT EXISTS (SELECT FROM generated_content o WHERE o.prediction_id = $4 AND o.id <> c.id)
RETURNING id
"""


async def lock_organization(tx: Transaction, organization_id: str) -> None:
    """Be alone in deciding which of the organization's generations runs; taken before any row of them."""
    await tx.execute(_LOCK_ORGANIZATION, organization_id)


async def begin(tx: Transaction, content_id: uuid.UUID, attempt: int, lease: timedelta) -> Generation | None:
    """Take a pending attempt to be started; `claim_orphans` finds it when the lease has run out.

    None where it is not pending any more, or its organization runs as many as its plan allows.
    """
    owner = await tx.fetchval("SELECT organization_id FROM generated_content WHERE id = $1", content_id)
    if owner is None:
        return None
    await lock_organization(tx, owner)
    row = await tx.fetchrow(_BEGIN, content_id, attempt, lease)
    return read(Generation, row) if row else None


async def queue(tx: Transaction, content_id: uuid.UUID, attempt: int) -> None:
    """Let a pending attempt wait until another of its organization ends."""
    await tx.execute(_QUEUE, content_id, attempt)


async def next_queued(tx: Transaction, organization_id: str, places: int) -> list[tuple[uuid.UUID, int]]:
    """As many of the organization's oldest waiting attempts, which are to be started now."""
    return [(row["id"], row["retry_count"]) for row in await tx.fetch(_NEXT_QUEUED, organization_id, places)]


async def find_free_places(tx: Transaction) -> list[tuple[str, int]]:
    """Organizations of which attempts wait though their plans allow more: how many more may run of each."""
    return [(row["organization_id"], row["places"]) for row in await tx.fetch(_FREE_PLACES)]


async def postpone(tx: Transaction, generation: Generation, wait: timedelta, *, is_setback: bool) -> None:
    """Give a start back that the vendor certainly did not accept: it is made again after the wait."""
    await tx.execute(_POSTPONE, generation.id, generation.attempt, generation.started_at, wait, int(is_setback))


async def set_prediction(
    tx: Transaction, content_id: uuid.UUID, attempt: int, prediction_id: str, poll_after: timedelta
) -> bool:
    """Note which prediction of the vendor is this attempt."""
    return await tx.fetchval(_SET_PREDICTION, content_id, attempt, prediction_id, poll_after) is not None


async def is_prediction_known(tx: Transaction, prediction_id: str) -> bool:
    """Whether the vendor's prediction belongs to an attempt already."""
    return bool(
        await tx.fetchval("SELECT EXISTS (SELECT FROM generated_content WHERE prediction_id = $1)", prediction_id)
    )


async def claim_orphans(tx: Transaction, limit: int, grace: timedelta, lease: timedelta) -> list[Generation]:
    """Attempts whose start never came back, to be looked for at the vendor by one worker only."""
    return [read(Generation, row) for row in await tx.fetch(_CLAIM_ORPHANS, limit, grace, lease)]


async def claim_polls(
    tx: Transaction, limit: int, *, shortest: timedelta, longest: timedelta, ahead: timedelta
) -> list[Attempt]:
    """Running attempts that are due to be looked at, or will be so soon, each for one poller only.

    The next look comes after a tenth of the time that the attempt has run, within the two bounds.
    """
    return [read(Attempt, row) for row in await tx.fetch(_CLAIM_POLLS, limit, shortest, longest, ahead)]


async def set_outcomes(tx: Transaction, outcomes: Sequence[Outcome]) -> list[tuple[uuid.UUID, int]]:
    """Keep what the vendor ended attempts with; it forgets outputs after an hour. Those for which it was news."""
    rows = await tx.fetch(
        _SET_OUTCOMES,
        [outcome.attempt.id for outcome in outcomes],
        [outcome.attempt.attempt for outcome in outcomes],
        [outcome.json for outcome in outcomes],
        [outcome.output_url and storable_text(outcome.output_url) for outcome in outcomes],
    )
    return [(row["id"], row["retry_count"]) for row in rows]


async def claim_finish(tx: Transaction, content_id: uuid.UUID, attempt: int, lease: timedelta) -> Generation | None:
    """Take an attempt whose outputs wait to be copied, for as long as the lease is renewed; none after its deadline."""
    row = await tx.fetchrow(_CLAIM_FINISH, content_id, attempt, lease)
    return read(Generation, row) if row else None


async def renew(tx: Transaction, content_id: uuid.UUID, attempt: int, lease: timedelta) -> bool:
    """Go on copying; False where the attempt has moved on."""
    return await tx.fetchval(_RENEW, content_id, attempt, lease) is not None


async def hand_over(tx: Transaction, generation: Generation, wait: timedelta, *, is_setback: bool) -> None:
    """Leave a copy to whoever takes it up after the wait, which ends with the deadline."""
    await tx.execute(_HAND_OVER, generation.id, generation.attempt, wait, int(is_setback))


async def called_back(tx: Transaction, content_id: uuid.UUID, attempt: int, nonce: str, prediction_id: str) -> bool:
    """The vendor says that there is news of an attempt: it is due to be looked at.

    An attempt whose start never came back learns its prediction this way. False where nothing waits for such news.
    """
    return await tx.fetchval(_CALLED_BACK, content_id, attempt, nonce, prediction_id) is not None


async def complete(tx: Transaction, generation: Generation, files: Sequence[StoredFile], cost: Cost) -> bool:
    """Complete the attempt with these files and charge it, in one transaction.

    Returns:
        False where it has ended before, or one of the files is not its own any more.
    """
    key = (generation.id, generation.attempt)
    paths = [file.storage_path for file in files]
    sizes, hashes = [file.size_bytes for file in files], [file.sha256 for file in files]
    if await tx.fetchval(_COMPLETE, *key, files[0].content_type, cost.amount, paths, sizes, hashes) is None:
        return False
    charged = await credits.settle(
        tx,
        organization_id=generation.organization_id,
        reference=hold_reference(*key),
        cost=cost,
        description=generation.model,
    )
    if charged != cost.amount:
        await tx.execute(_SET_COST, *key, charged or 0)
    return True


async def fail(tx: Transaction, attempt: Attempt, error_message: str) -> bool:
    """End the attempt at no cost, in one transaction; False where it has ended before."""
    message = storable_text(error_message) or "The generation failed without a reason"
    if await tx.fetchval(_FAIL, attempt.id, attempt.attempt, message) is None:
        return False
    reference = hold_reference(attempt.id, attempt.attempt)
    await credits.void(tx, organization_id=attempt.organization_id, reference=reference)
    return True
