"""The SQL behind requests for generations. The worker's SQL is in other modules of this package."""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from app.core.database import Transaction, one_of
from app.generations.models import Generation
from app.generations.states import CONDITIONS, UNENDED, State, Status

_RETRY = f"""
UPDATE generations
SET status = 'pending', retry_count = retry_count + 1, due_at = now(), deadline_at = now() + $4,
    failures = 0, is_parked = $5, is_leased = false, lapses = 0,
    prediction_id = NULL, outcome = NULL, content_type = NULL, output_url = NULL, error_message = NULL,
    credit_cost = NULL, started_at = NULL, completed_at = NULL
WHERE organization_id = $1 AND id = $2 AND {CONDITIONS[State.FAILED]}
  AND retry_count = $3 AND retry_count < max_retries
RETURNING retry_count
"""

# Parked rows count too: first come, first served. Each half reads an index of its own, no further
# than the limit; without an order the planner expects to come upon parked rows of the organization in a scan of all.
_IS_FULL = f"""
SELECT p.concurrent_generations <= (
    SELECT count(*) FROM (
        (SELECT FROM generations WHERE organization_id = $1 AND {one_of("status", UNENDED)} AND NOT is_parked
         LIMIT p.concurrent_generations)
        UNION ALL
        (SELECT FROM generations WHERE organization_id = $1 AND {CONDITIONS[State.PARKED]}
         ORDER BY created_at LIMIT p.concurrent_generations)
    ) unended
)
FROM organizations o JOIN plans p ON p.name = o.plan_name
WHERE o.id = $1
"""


async def find_lost(
    tx: Transaction,
    user_id: str,
    request_key: bytes,
    turn_id: str | None,
    model: str,
    values: Mapping[str, Any],
    lifetime: timedelta,
) -> Generation | None:
    """The same generation, if another turn of the same request has asked for it, less than `lifetime` ago.

    It is locked against a third turn.
    """
    query = (
        select(Generation)
        .where(
            Generation.request_key == request_key,
            Generation.user_id == user_id,
            Generation.turn_id != turn_id,
            Generation.model == model,
            Generation.input == dict(values),
            Generation.status != Status.FAILED,
            Generation.created_at > func.now() - lifetime,
        )
        .order_by(Generation.created_at, Generation.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return (await tx.session.scalars(query)).first()


async def is_full(tx: Transaction, organization_id: str) -> bool:
    """Whether the organization has as many generations that have not ended as its plan lets run at once."""
    return bool(await tx.fetchval(_IS_FULL, organization_id))


async def retry(
    tx: Transaction,
    organization_id: str,
    generation_id: uuid.UUID,
    retry_count: int,
    deadline: timedelta,
    *,
    is_parked: bool,
) -> int | None:
    """Make a failed generation pending again if it has not changed since it was read. Its new attempt, or None."""
    attempt: int | None = await tx.fetchval(_RETRY, organization_id, generation_id, retry_count, deadline, is_parked)
    return attempt


async def add(tx: Transaction, generation: Generation, deadline: timedelta) -> None:
    """Insert the row. The deadline is counted from now on, by the clock of Postgres."""
    tx.session.add(generation)
    generation.deadline_at = func.now() + deadline
    await tx.session.flush()
    await refresh(tx, generation)


async def refresh(tx: Transaction, generation: Generation) -> None:
    """Read the row again, after a statement that has changed it behind the session's back."""
    await tx.session.refresh(generation)
