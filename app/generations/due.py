"""Which attempts the sweeper has to see to. Each query has its own limit, so that none hides what another finds."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from app.core.database import Transaction
from app.generations.attempts import Attempt, LateAttempt, read

# How long after its deadline an attempt may still be copied, where the copy had begun before.
COPY_GRACE = timedelta(minutes=5)

# When an attempt was due, and its id: where a look through the overdue ones has come to.
Place = tuple[datetime, uuid.UUID]
FIRST_PLACE: Place = (datetime.fromtimestamp(0, UTC), uuid.UUID(int=0))

FindOverdue = Callable[[Transaction, Place, int, timedelta], Awaitable[list[Attempt]]]

_LATE = """
SELECT id, retry_count, organization_id, prediction_id, started_at, due_at, deadline_at,
       outcome IS NOT NULL AS has_outcome
FROM generated_content
WHERE status IN ('pending', 'processing') AND deadline_at <= now()
  AND (outcome IS NULL OR due_at <= now() - $2::interval OR deadline_at <= now() - $3::interval)
ORDER BY deadline_at LIMIT $1
"""

_COPIES = """
SELECT id, retry_count, organization_id, prediction_id, started_at, due_at, deadline_at
FROM generated_content
WHERE status = 'processing' AND outcome IS NOT NULL AND deadline_at > now()
  AND due_at <= now() - $2::interval AND (due_at, id) > ($3, $4)
ORDER BY due_at, id LIMIT $1
"""

_STARTS = """
SELECT id, retry_count, organization_id, prediction_id, started_at, due_at, deadline_at
FROM generated_content
WHERE status = 'pending' AND NOT is_parked AND deadline_at > now()
  AND due_at <= now() - $2::interval AND (due_at, id) > ($3, $4)
ORDER BY due_at, id LIMIT $1
"""


async def find_late(tx: Transaction, limit: int, grace: timedelta) -> list[LateAttempt]:
    """Attempts that have come to their deadline, but for those that are being copied within `COPY_GRACE` of it.

    A copy whose lease ended longer ago than `grace` was not begun, or was interrupted.
    """
    return [read(LateAttempt, row) for row in await tx.fetch(_LATE, limit, grace, COPY_GRACE)]


async def find_copies(tx: Transaction, after: Place, limit: int, grace: timedelta) -> list[Attempt]:
    """Attempts behind that place whose outputs should have begun to be copied, in the order they were due."""
    return [read(Attempt, row) for row in await tx.fetch(_COPIES, limit, grace, *after)]


async def find_starts(tx: Transaction, after: Place, limit: int, grace: timedelta) -> list[Attempt]:
    """Attempts behind that place that should have been started, in the order they were due.

    Starts that never came back, and what waits for its own organization, are looked for elsewhere.
    """
    return [read(Attempt, row) for row in await tx.fetch(_STARTS, limit, grace, *after)]


def place_of(attempt: Attempt) -> Place:
    """Where a look goes on behind this attempt."""
    return attempt.due_at, attempt.id
