import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from asyncpg import Record

# How long a turn keeps its session without a renewal.
TURN_LEASE = timedelta(seconds=60)


@dataclass(frozen=True)
class SessionOwner:
    """Whose sessions a turn continues.

    Attributes:
        organization_id: the organization.
        user_id: the user.
        api_key_id: the key that a session which the turn creates is created with; None in the console.
    """

    organization_id: str
    user_id: str
    api_key_id: str | None


@dataclass(frozen=True)
class PastTurn:
    """A turn that has ended, and its session's row: another turn goes on from there."""

    session_id: uuid.UUID
    turn_id: str


@dataclass(frozen=True)
class LeasedSession:
    """A session that no other turn can use until this turn ends or stops renewing its lease.

    One that is not `is_stored` has no row and no name: nothing is kept of its turn.
    """

    id: uuid.UUID
    public_id: str
    turn_id: str
    is_stored: bool = True

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The value of a row of `sessions`."""
        return cls(id=row["id"], public_id=row["public_id"], turn_id=row["turn_id"])
