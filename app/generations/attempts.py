"""What the worker knows of an attempt: as much as its step needs."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Self

from asyncpg import Record

# The columns that `from_row` reads, of a query that calls the table `c`.
ATTEMPT_COLUMNS = "c.id, c.retry_count, c.organization_id, c.prediction_id, c.started_at, c.deadline_at"
CLAIMED_COLUMNS = (
    f"{ATTEMPT_COLUMNS}, c.model, c.input, c.price_id, c.outcome, c.created_at, c.failures, c.webhook_nonce"
)


@dataclass(frozen=True)
class Attempt:
    """One attempt of a generation, with what it takes to follow it.

    Thousands of attempts are followed at once, so inputs and outputs, which may be large, are not part of it.
    """

    generation_id: uuid.UUID
    number: int
    organization_id: str
    prediction_id: str | None
    started_at: datetime | None
    deadline_at: datetime

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The attempt in a row of `ATTEMPT_COLUMNS`."""
        return cls(
            generation_id=row["id"],
            number=row["retry_count"],
            organization_id=row["organization_id"],
            prediction_id=row["prediction_id"],
            started_at=row["started_at"],
            deadline_at=row["deadline_at"],
        )


@dataclass(frozen=True)
class ClaimedAttempt(Attempt):
    """One attempt with all that it takes to run it.

    `outcome` is what the vendor returned, once it has finished. `claimed_at` is a moment of the monotonic clock.
    """

    model: str
    input: Mapping[str, Any]
    price_id: int
    outcome: Mapping[str, Any] | None
    created_at: datetime
    failures: int
    webhook_nonce: str
    claimed_at: float = field(default_factory=monotonic)

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The attempt in a row of `CLAIMED_COLUMNS`."""
        return cls(
            generation_id=row["id"],
            number=row["retry_count"],
            organization_id=row["organization_id"],
            prediction_id=row["prediction_id"],
            started_at=row["started_at"],
            deadline_at=row["deadline_at"],
            model=row["model"],
            input=row["input"],
            price_id=row["price_id"],
            outcome=row["outcome"],
            created_at=row["created_at"],
            failures=row["failures"],
            webhook_nonce=row["webhook_nonce"],
        )


@dataclass(frozen=True)
class LateAttempt(Attempt):
    """One attempt that has reached its deadline, and whether the vendor had finished it."""

    has_outcome: bool

    @property
    def is_running(self) -> bool:
        """Whether the vendor may still run it."""
        return self.prediction_id is not None and not self.has_outcome

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The attempt in a row of `ATTEMPT_COLUMNS` and `has_outcome`."""
        return cls(
            generation_id=row["id"],
            number=row["retry_count"],
            organization_id=row["organization_id"],
            prediction_id=row["prediction_id"],
            started_at=row["started_at"],
            deadline_at=row["deadline_at"],
            has_outcome=row["has_outcome"],
        )


@dataclass(frozen=True)
class Outcome:
    """How the vendor finished an attempt: JSON text that Postgres can store, and the first URL in it."""

    attempt: Attempt
    json: str
    output_url: str | None


@dataclass(frozen=True)
class StoredFile:
    """An output as it was read back from the store."""

    storage_path: str
    content_type: str
    size_bytes: int
    sha256: str
