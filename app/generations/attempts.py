"""What the worker knows of an attempt: as much as its step needs."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from asyncpg import Record


@dataclass(frozen=True)
class Attempt:
    """One attempt of a content, as far as it takes to follow it.

    Inputs and outputs may be large, and thousands of attempts are followed at once: they are not among it.
    """

    id: uuid.UUID
    attempt: int
    organization_id: str
    prediction_id: str | None
    started_at: datetime | None
    due_at: datetime
    deadline_at: datetime


@dataclass(frozen=True)
class Generation(Attempt):
    """One attempt with all that it takes to run it. `outcome` is what the vendor ended with, if it has."""

    model: str
    input: Mapping[str, Any]
    price_id: int
    outcome: Mapping[str, Any] | None
    created_at: datetime
    setbacks: int
    webhook_nonce: str


@dataclass(frozen=True)
class LateAttempt(Attempt):
    """One attempt that has come to its deadline, and whether the vendor had ended it."""

    has_outcome: bool

    @property
    def is_running(self) -> bool:
        """Whether the vendor may still run it."""
        return self.prediction_id is not None and not self.has_outcome


@dataclass(frozen=True)
class Outcome:
    """What the vendor ended an attempt with: JSON text that Postgres can store, and its first URL."""

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


AttemptT = TypeVar("AttemptT", bound=Attempt)


def read(kind: type[AttemptT], row: Record) -> AttemptT:
    """An attempt from a row of `generated_content` that has the columns for it."""
    values = {name: row[name] for name in kind.__dataclass_fields__ if name != "attempt"}
    return kind(**values, attempt=row["retry_count"])
