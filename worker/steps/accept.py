from dataclasses import dataclass
from datetime import timedelta

from app.core.database import Database
from app.generations import progress
from app.generations.attempts import ClaimedAttempt
from worker.steps.cancel import CancelStep
from worker.steps.counting import count_started


@dataclass(frozen=True)
class Acceptance:
    """Stores which prediction an attempt has. The attempt is polled for the first time after `first_poll`."""

    database: Database
    cancels: CancelStep
    first_poll: timedelta
    lease: timedelta

    async def accept(self, attempt: ClaimedAttempt, prediction_id: str) -> None:
        """Store what a create call of the attempt has made. What the attempt does not need is cancelled."""
        async with self.database.transaction() as tx:
            surplus = await progress.accept(tx, attempt, prediction_id, self.first_poll, lease=self.lease)
        count_started(attempt)
        await self.cancels.cancel(surplus)
