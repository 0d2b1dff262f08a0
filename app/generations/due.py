"""What the sweeper looks for. Each query reads an index of its own, so that no backlog hides what another one finds."""

from datetime import timedelta

from app.core.database import Transaction, one_of
from app.generations.attempts import ATTEMPT_COLUMNS, LateAttempt
from app.generations.states import CONDITIONS, UNENDED, State
from app.queue.protocol import WakeKind

# How long after its deadline an attempt may still be copied, if the copy had begun before.
COPY_GRACE = timedelta(minutes=5)

_LATE = f"""
SELECT {ATTEMPT_COLUMNS}, c.outcome IS NOT NULL AS has_outcome
FROM generations c
WHERE {one_of("status", UNENDED)} AND deadline_at <= now()
  AND (outcome IS NULL OR due_at <= now() - $2::interval OR deadline_at <= now() - $3::interval)
ORDER BY deadline_at LIMIT $1
"""

_DUE = f"""
SELECT EXISTS (SELECT FROM generations
               WHERE {CONDITIONS[State.PENDING]} AND due_at <= now() AND deadline_at > now()) AS starts,
       EXISTS (SELECT FROM generations
               WHERE {CONDITIONS[State.COPYING]} AND due_at <= now() AND deadline_at > now()) AS copies
"""


async def find_late(tx: Transaction, limit: int, grace: timedelta) -> list[LateAttempt]:
    """Attempts that have reached their deadline, except those that are being copied within `COPY_GRACE` of it.

    A copy whose lease ended more than `grace` ago never began, or was interrupted.
    """
    return [LateAttempt.from_row(row) for row in await tx.fetch(_LATE, limit, grace, COPY_GRACE)]


async def find_due_kinds(tx: Transaction) -> set[WakeKind]:
    """For which kinds of work that wakes cause rows are due."""
    row = await tx.fetchrow(_DUE)
    if row is None:
        return set()
    due = {WakeKind.START: row["starts"], WakeKind.COPY: row["copies"]}
    return {kind for kind, is_due in due.items() if is_due}
