"""What the streams of events read: how far contents are."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.database import Transaction
from app.generations.states import Status


@dataclass(frozen=True)
class State:
    """How far a content is: what a page that watches it compares."""

    id: uuid.UUID
    status: Status
    retry_count: int
    is_parked: bool
    is_started: bool
    is_finished: bool

    @property
    def is_ended(self) -> bool:
        """Whether it goes on only if somebody retries it."""
        return self.status in {Status.COMPLETED, Status.FAILED}

    @property
    def version(self) -> str:
        """Text that changes whenever the page would show something else."""
        return f"{self.status.value}-{self.retry_count}-{self.is_parked:d}{self.is_started:d}{self.is_finished:d}"


async def read_states(
    tx: Transaction, organization_id: str, user_id: str | None, content_ids: Sequence[uuid.UUID]
) -> list[State]:
    """How far those of these contents are that the organization, and the user if there is one, have."""
    rows = await tx.fetch(
        "SELECT id, status, retry_count, is_parked, prediction_id IS NOT NULL AS is_started,"
        " outcome IS NOT NULL AS is_finished FROM generations"
        " WHERE id = ANY ($1) AND organization_id = $2 AND ($3::text IS NULL OR user_id = $3)",
        list(content_ids),
        organization_id,
        user_id,
    )
    return [State(**(dict(row) | {"status": Status(row["status"])})) for row in rows]
