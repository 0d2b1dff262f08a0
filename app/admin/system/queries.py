"""What waits, what runs and what has failed, over all organizations. Nothing is counted past `MOST`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.database import Transaction
from app.generations.states import CONDITIONS, PROCESSING, State

MOST = 10_000
_REASONS = 8
_REASON_CHARACTERS = 200


def _count(condition: str) -> str:
    return f"(SELECT count(*) FROM (SELECT FROM generations WHERE {condition} LIMIT {MOST + 1}) few)"


_QUEUE = f"""
SELECT {_count(f"{CONDITIONS[State.PENDING]} AND due_at <= now()")} AS due,
       {_count(CONDITIONS[State.PARKED])} AS parked,
       {_count(PROCESSING)} AS in_flight,
       {_count(f"{CONDITIONS[State.COPYING]} AND due_at <= now()")} AS copies_due,
       LEAST((SELECT min(due_at) FROM generations WHERE {CONDITIONS[State.PENDING]}),
             (SELECT min(due_at) FROM generations WHERE {CONDITIONS[State.COPYING]})) AS oldest_due_at,
       now() AS now
"""
_FAILED = f"""
WITH few AS (
    SELECT left(error_message, {_REASON_CHARACTERS}) AS reason, ended_at FROM attempts
    WHERE ending = 'failed' AND ended_at > now() - interval '24 hours' ORDER BY ended_at DESC LIMIT {MOST + 1}
)
SELECT coalesce(reason, 'No reason was kept') AS reason, count(*) AS failures, max(ended_at) AS last_at,
       sum(count(*)) OVER () AS all_failures,
       sum(count(*) FILTER (WHERE ended_at > now() - interval '1 hour')) OVER () AS in_an_hour
FROM few GROUP BY 1 ORDER BY failures DESC, reason LIMIT {_REASONS}
"""


@dataclass(frozen=True)
class Queue:
    """The queue of generations.

    Attributes:
        due: how many wait to be started.
        parked: how many wait for another one of their organization.
        in_flight: how many are at the vendor, or being copied.
        copies_due: how many wait to be copied.
        oldest_due_at: since when the oldest of those that are due waits; in the future if none is.
        now: the moment by the clock of Postgres.
    """

    due: int
    parked: int
    in_flight: int
    copies_due: int
    oldest_due_at: datetime | None
    now: datetime

    @property
    def oldest_waits(self) -> float:
        """Seconds for which the oldest due row waits."""
        return 0.0 if self.oldest_due_at is None else max(0.0, (self.now - self.oldest_due_at).total_seconds())


@dataclass(frozen=True)
class Reason:
    """Why attempts have failed, and how many."""

    reason: str
    failures: int
    last_at: datetime


@dataclass(frozen=True)
class Failures:
    """The attempts that have failed in 24 hours: how many, how many of them in the last hour, and why."""

    in_a_day: int
    in_an_hour: int
    reasons: Sequence[Reason]


async def read_queue(tx: Transaction) -> Queue:
    """The queue now."""
    row: Any = await tx.fetchrow(_QUEUE)
    return Queue(**row)


async def read_failures(tx: Transaction) -> Failures:
    """What has failed in 24 hours."""
    rows = await tx.fetch(_FAILED)
    return Failures(
        in_a_day=int(rows[0]["all_failures"]) if rows else 0,
        in_an_hour=int(rows[0]["in_an_hour"]) if rows else 0,
        reasons=[Reason(row["reason"], row["failures"], row["last_at"]) for row in rows],
    )
