"""The SQL of runs: which process prunes a kind of rows now, when it was done last, and when it is again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.database import Transaction
from app.retention.models import Kind

# A process that dies leaves its run to the next one after this time. It prunes for less than that at once.
LEASE = timedelta(seconds=120)
PAUSE = timedelta(hours=1)

_ADD = "INSERT INTO retention_runs (kind) VALUES ($1) ON CONFLICT DO NOTHING"
# A run that was not done when its process stopped goes on.
_CLAIM = """
UPDATE retention_runs SET lease_until = now() + $2,
       began_at = CASE WHEN began_at > coalesce(ended_at, '-infinity') THEN began_at ELSE now() END,
       removed = CASE WHEN began_at > coalesce(ended_at, '-infinity') THEN removed ELSE 0 END
WHERE kind = $1 AND ($3 OR due_at <= now()) AND (lease_until IS NULL OR lease_until < now())
RETURNING lease_until
"""
_LEAVE = """
UPDATE retention_runs SET removed = removed + $3, lease_until = NULL,
       ended_at = CASE WHEN $4 THEN clock_timestamp() ELSE ended_at END,
       due_at = CASE WHEN $4 THEN now() + $5 ELSE now() END
WHERE kind = $1 AND lease_until = $2
RETURNING removed
"""
_LAST = "SELECT kind, began_at, ended_at, removed FROM retention_runs WHERE began_at IS NOT NULL ORDER BY kind"


@dataclass(frozen=True)
class Run:
    """A run of one kind: when it began, when it ended if it has, and how many rows it has removed."""

    kind: Kind
    began_at: datetime
    ended_at: datetime | None
    removed: int

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self.ended_at is not None and self.ended_at >= self.began_at


async def claim(tx: Transaction, kind: Kind, *, now: bool) -> datetime | None:
    """Claim the run of a kind, if it is due or wanted now. Returns the end of the lease; None if nothing is to do."""
    await tx.execute(_ADD, kind.value)
    lease_until: datetime | None = await tx.fetchval(_CLAIM, kind.value, LEASE, now)
    return lease_until


async def leave(tx: Transaction, kind: Kind, lease_until: datetime, removed: int, *, is_done: bool) -> int | None:
    """Give up the claim. Returns how many rows the run has removed in all; None if somebody else has taken it over."""
    total: int | None = await tx.fetchval(_LEAVE, kind.value, lease_until, removed, is_done, PAUSE)
    return total


async def last_runs(tx: Transaction) -> Sequence[Run]:
    """The last run of each kind."""
    return [Run(Kind(row["kind"]), row["began_at"], row["ended_at"], row["removed"]) for row in await tx.fetch(_LAST)]
