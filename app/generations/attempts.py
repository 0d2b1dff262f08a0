"""What the worker knows about an attempt: as much as each step needs."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Self

from asyncpg import Record

# The columns that `from_row` reads, in a query that names the table `c`.
ATTEMPT_COLUMNS = (
    "c.id, c.retry_count, c.organization_id, c.prediction_id, c.started_at,"
    " (SELECT ARRAY[o.request_id, o.traceparent] FROM attempts o"
    " WHERE o.generation_id = c.id AND o.number = c.retry_count) AS origin"
)
CLAIMED_COLUMNS = (
    f"{ATTEMPT_COLUMNS}, c.claim, c.model, c.input, c.price_id, c.outcome, c.created_at, c.failures, c.webhook_nonce,"
    " c.deadline_at - now() AS time_left"
)


class AttemptLostError(Exception):
    """The attempt has ended, or another worker has claimed it: this one must change nothing more."""


@dataclass(frozen=True)
class Origin:
    """Which request has caused an attempt.

    Attributes:
        request_id: its `X-Request-ID`.
        traceparent: the W3C trace context of what it did then.
    """

    request_id: str | None = None
    traceparent: str | None = None

    @classmethod
    def from_column(cls, values: Sequence[str | None] | None) -> Self:
        """The origin in a column `origin`; None of an attempt that older versions have made."""
        return cls(*values) if values else cls()


@dataclass(frozen=True)
class Attempt:
    """One attempt of a generation, with what is needed to follow it.

    Thousands of attempts are followed at once, so inputs and outputs, which may be large, are left out.
    """

    generation_id: uuid.UUID
    number: int
    organization_id: str
    prediction_id: str | None
    started_at: datetime | None
    origin: Origin = field(default=Origin(), kw_only=True)

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The attempt in a row of `ATTEMPT_COLUMNS`."""
        return cls(
            generation_id=row["id"],
            number=row["retry_count"],
            organization_id=row["organization_id"],
            prediction_id=row["prediction_id"],
            started_at=row["started_at"],
            origin=Origin.from_column(row["origin"]),
        )


@dataclass(frozen=True)
class RunningAttempt(Attempt):
    """One attempt whose prediction is polled.

    `model` is as the client named it. `missing_count`: how often in a row the vendor did not know the prediction.
    """

    model: str
    missing_count: int

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The attempt in a row of `ATTEMPT_COLUMNS`, `model` and `missing_count`."""
        return cls(
            generation_id=row["id"],
            number=row["retry_count"],
            organization_id=row["organization_id"],
            prediction_id=row["prediction_id"],
            started_at=row["started_at"],
            origin=Origin.from_column(row["origin"]),
            model=row["model"],
            missing_count=row["missing_count"],
        )


@dataclass(frozen=True)
class ClaimedAttempt(Attempt):
    """One attempt with all that the steps need.

    Attributes:
        claim: the fencing token, which every statement of the claim's holder names.
        model: as the client named it.
        input: the model's parameters.
        price_id: the price that it was accepted at.
        outcome: what the vendor returned, once it has finished.
        created_at: when the generation was requested.
        failures: how often this step has failed in a row.
        webhook_nonce: the secret part of its webhook's URL.
        time_left: how long, from the claim on, until its deadline.
        found_prediction_id: a prediction that an earlier create call of the attempt has made, and that it can use.
        claimed_at: when it was claimed, by the monotonic clock.
    """

    claim: int
    model: str
    input: Mapping[str, Any]
    price_id: int
    outcome: Mapping[str, Any] | None
    created_at: datetime
    failures: int
    webhook_nonce: str
    time_left: timedelta
    found_prediction_id: str | None = None
    claimed_at: float = field(default_factory=monotonic)

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The attempt in a row of `CLAIMED_COLUMNS` and perhaps `found_prediction_id`."""
        return cls(
            generation_id=row["id"],
            number=row["retry_count"],
            organization_id=row["organization_id"],
            prediction_id=row["prediction_id"],
            started_at=row["started_at"],
            origin=Origin.from_column(row["origin"]),
            claim=row["claim"],
            model=row["model"],
            input=row["input"],
            price_id=row["price_id"],
            outcome=row["outcome"],
            created_at=row["created_at"],
            failures=row["failures"],
            webhook_nonce=row["webhook_nonce"],
            time_left=row["time_left"],
            found_prediction_id=row.get("found_prediction_id"),
        )

    @property
    def key(self) -> tuple[uuid.UUID, int, int]:
        """What every statement of the claim's holder names: generation, attempt and claim."""
        return self.generation_id, self.number, self.claim

    def seconds_left(self) -> float:
        """Seconds until its deadline, negative after it."""
        return self.time_left.total_seconds() - (monotonic() - self.claimed_at)


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
