"""What the worker does to a content, each step fenced by its id, its attempt and its status.

A step that finds the row moved on returns None or False, and whoever asked stops: jobs may run twice, late, or in two
workers at once.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asyncpg import Record

from app.catalog.pricing import Cost
from app.content.service import hold_reference
from app.core.database import Transaction
from app.core.json import storable_json
from app.credits import service as credits

_LOCK_ORGANIZATION = "SELECT pg_advisory_xact_lock(hashtextextended('generations:' || $1, 0))"

_BEGIN = """
UPDATE generated_content c
SET status = 'processing', started_at = now(), due_at = now() + $3, is_queued = false
FROM organizations o JOIN plans p ON p.name = o.plan_name
WHERE c.id = $1 AND c.retry_count = $2 AND c.status = 'pending' AND o.id = c.organization_id
  AND (SELECT count(*) FROM generated_content r
       WHERE r.organization_id = c.organization_id AND r.status = 'processing') < p.concurrent_generations
RETURNING c.*
"""

_QUEUE = """
UPDATE generated_content SET is_queued = true, due_at = now() + $3
WHERE id = $1 AND retry_count = $2 AND status = 'pending'
"""

_NEXT_QUEUED = """
UPDATE generated_content SET is_queued = false, due_at = now()
WHERE id = (SELECT id FROM generated_content
            WHERE organization_id = $1 AND status = 'pending' AND is_queued
            ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, retry_count
"""

_POSTPONE = """
UPDATE generated_content SET status = 'pending', started_at = NULL, due_at = now() + $3, setbacks = setbacks + $4
WHERE id = $1 AND retry_count = $2 AND status = 'processing' AND prediction_id IS NULL
"""

_SET_PREDICTION = """
UPDATE generated_content SET prediction_id = $3, due_at = now() + $4, setbacks = 0
WHERE id = $1 AND retry_count = $2 AND status = 'processing' AND prediction_id IS NULL
RETURNING id
"""

_CLAIM_POLLS = """
UPDATE generated_content SET due_at = now() + LEAST($2::interval, GREATEST($3::interval, (now() - started_at) / 10))
WHERE id IN (
    SELECT id FROM generated_content
    WHERE status = 'processing' AND prediction_id IS NOT NULL AND outcome IS NULL AND due_at <= now()
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING *
"""

_SET_OUTCOME = """
UPDATE generated_content SET outcome = $3, output_url = $4, due_at = now(), setbacks = 0
WHERE id = $1 AND retry_count = $2 AND status = 'processing' AND outcome IS NULL
RETURNING id
"""

_CLAIM_FINISH = """
UPDATE generated_content SET due_at = now() + $3
WHERE id = $1 AND retry_count = $2 AND status = 'processing' AND outcome IS NOT NULL AND due_at <= now()
RETURNING *
"""

_RENEW = """
UPDATE generated_content SET due_at = now() + $3, setbacks = setbacks + $4
WHERE id = $1 AND retry_count = $2 AND status = 'processing' AND outcome IS NOT NULL
RETURNING id
"""

_LOCK = """
SELECT organization_id, model FROM generated_content
WHERE id = $1 AND retry_count = $2 AND status = ANY($3::text[]) FOR UPDATE
"""

_COMPLETE = """
UPDATE generated_content SET status = 'completed', content_type = $3, credit_cost = $4, completed_at = now()
WHERE id = $1 AND retry_count = $2
"""

_FAIL = """
UPDATE generated_content SET status = 'failed', error_message = $3, credit_cost = 0, completed_at = now()
WHERE id = $1 AND retry_count = $2
"""

_CALLED_BACK = """
UPDATE generated_content SET due_at = now(), prediction_id = coalesce(prediction_id, $4)
WHERE id = $1 AND retry_count = $2 AND webhook_nonce = $3 AND status = 'processing' AND outcome IS NULL
  AND (prediction_id = $4 OR prediction_id IS NULL)
RETURNING id
"""

_OVERDUE = """
SELECT * FROM generated_content
WHERE status IN ('pending', 'processing')
  AND (due_at <= now() - $2::interval OR deadline_at <= now() AND outcome IS NULL)
ORDER BY due_at LIMIT $1
"""


@dataclass(frozen=True)
class Generation:
    """One attempt of a content, as the worker sees it. `outcome` is what the vendor ended with, if it has."""

    id: uuid.UUID
    attempt: int
    organization_id: str
    model: str
    input: Mapping[str, Any]
    price_id: int
    prediction_id: str | None
    outcome: Mapping[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    due_at: datetime
    deadline_at: datetime
    setbacks: int
    webhook_nonce: str


async def lock_organization(tx: Transaction, organization_id: str) -> None:
    """Be alone in deciding which of the organization's generations runs; taken before any row of them."""
    await tx.execute(_LOCK_ORGANIZATION, organization_id)


async def begin(tx: Transaction, content_id: uuid.UUID, attempt: int, lease: timedelta) -> Generation | None:
    """Take a pending attempt to be started; the sweeper looks after it when the lease has run out.

    None where it is not pending any more, or its organization runs as many as its plan allows.
    """
    owner = await tx.fetchval("SELECT organization_id FROM generated_content WHERE id = $1", content_id)
    if owner is None:
        return None
    await lock_organization(tx, owner)
    return _generation(await tx.fetchrow(_BEGIN, content_id, attempt, lease))


async def queue(tx: Transaction, content_id: uuid.UUID, attempt: int, at_most: timedelta) -> None:
    """Let a pending attempt wait until another of its organization ends, or for so long."""
    await tx.execute(_QUEUE, content_id, attempt, at_most)


async def next_queued(tx: Transaction, organization_id: str) -> tuple[uuid.UUID, int] | None:
    """The organization's oldest waiting attempt, which is to be started now."""
    row = await tx.fetchrow(_NEXT_QUEUED, organization_id)
    return (row["id"], row["retry_count"]) if row else None


async def postpone(tx: Transaction, content_id: uuid.UUID, attempt: int, wait: timedelta, *, is_setback: bool) -> None:
    """Give an attempt back that the vendor certainly did not accept: it is tried again after the wait."""
    await tx.execute(_POSTPONE, content_id, attempt, wait, int(is_setback))


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


async def claim_polls(tx: Transaction, limit: int, shortest: timedelta, longest: timedelta) -> list[Generation]:
    """Running attempts that are due to be looked at, each for one poller only.

    The next look comes after a tenth of the time that the attempt has run, within the two bounds.
    """
    rows = await tx.fetch(_CLAIM_POLLS, limit, longest, shortest)
    return [generation for row in rows if (generation := _generation(row))]


async def set_outcome(
    tx: Transaction, content_id: uuid.UUID, attempt: int, outcome: Mapping[str, Any], output_url: str | None
) -> bool:
    """Keep what the vendor ended with; it forgets outputs after an hour."""
    return await tx.fetchval(_SET_OUTCOME, content_id, attempt, storable_json(outcome), output_url) is not None


async def claim_finish(tx: Transaction, content_id: uuid.UUID, attempt: int, lease: timedelta) -> Generation | None:
    """Take an attempt whose outputs wait to be copied, for as long as the lease is renewed."""
    return _generation(await tx.fetchrow(_CLAIM_FINISH, content_id, attempt, lease))


async def renew(
    tx: Transaction, content_id: uuid.UUID, attempt: int, lease: timedelta, *, is_setback: bool = False
) -> bool:
    """Go on copying, or leave it for so long; False where the attempt has moved on."""
    return await tx.fetchval(_RENEW, content_id, attempt, lease, int(is_setback)) is not None


async def called_back(tx: Transaction, content_id: uuid.UUID, attempt: int, nonce: str, prediction_id: str) -> bool:
    """The vendor says that there is news of an attempt: it is due to be looked at.

    An attempt whose start never came back learns its prediction this way. False where nothing waits for such news.
    """
    return await tx.fetchval(_CALLED_BACK, content_id, attempt, nonce, prediction_id) is not None


async def complete(tx: Transaction, content_id: uuid.UUID, attempt: int, *, content_type: str, cost: Cost) -> bool:
    """Complete the attempt and charge it, in one transaction; False where it has ended before."""
    row = await tx.fetchrow(_LOCK, content_id, attempt, ["processing"])
    if row is None:
        return False
    charged = await credits.settle(
        tx,
        organization_id=row["organization_id"],
        reference=hold_reference(content_id, attempt),
        cost=cost,
        description=row["model"],
    )
    await tx.execute(_COMPLETE, content_id, attempt, content_type, charged or 0)
    return True


async def fail(tx: Transaction, content_id: uuid.UUID, attempt: int, error_message: str) -> bool:
    """End the attempt at no cost, in one transaction; False where it has ended before."""
    row = await tx.fetchrow(_LOCK, content_id, attempt, ["pending", "processing"])
    if row is None:
        return False
    await credits.void(tx, organization_id=row["organization_id"], reference=hold_reference(content_id, attempt))
    await tx.execute(_FAIL, content_id, attempt, error_message or "The generation failed without a reason")
    return True


async def find_overdue(tx: Transaction, limit: int, grace: timedelta) -> list[tuple[str, Generation]]:
    """Attempts whose next step should have happened, or that have come to their deadline, with their status.

    A poller that looks in time keeps moving `due_at`; what the vendor has ended may still be copied after the deadline.
    """
    rows = await tx.fetch(_OVERDUE, limit, grace)
    return [(row["status"], generation) for row in rows if (generation := _generation(row))]


def _generation(row: Record | None) -> Generation | None:
    if row is None:
        return None
    values = {name: row[name] for name in Generation.__dataclass_fields__ if name != "attempt"}
    values["attempt"] = row["retry_count"]
    return Generation(**values)
