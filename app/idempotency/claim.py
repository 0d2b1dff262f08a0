from dataclasses import dataclass
from typing import Self

from asyncpg import Record


@dataclass(frozen=True)
class Claim:
    """A claim on a key.

    `former_hold_reference` is the credit hold of the run whose lapsed claim it has taken over, if that had one.
    """

    former_hold_reference: str | None

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The value of a row of `user_idempotency_keys` that has just been claimed."""
        return cls(former_hold_reference=row["former_hold_reference"])
