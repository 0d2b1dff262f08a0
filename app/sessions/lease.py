import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from asyncpg import Record

# How long a turn keeps its session without a renewal.
TURN_LEASE = timedelta(seconds=60)


@dataclass(frozen=True)
class LeasedSession:
    """A session that no other turn can use until this turn ends or stops renewing its lease."""

    id: uuid.UUID
    public_id: str
    turn_id: str

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The value of a row of `sessions`."""
        return cls(id=row["id"], public_id=row["public_id"], turn_id=row["turn_id"])
