import logging
from collections.abc import Sequence

from app.core.database import Database
from app.core.errors import AppError
from app.core.group_commit import GroupCommit
from app.generations import progress
from app.generations.attempts import Outcome
from app.queue.protocol import WakeKind, WakeQueue
from worker.steps.counting import count_finished

logger = logging.getLogger(__name__)

# Outcomes may hold whole files, and Postgres takes a gigabyte in one statement.
MOST_CHARACTERS_AT_ONCE = 16 * 1024 * 1024
_PATIENCE_SECONDS = 0.05


class Outcomes:
    """Stores how the vendor finished attempts, and wakes those that copy their outputs."""

    def __init__(self, database: Database, queue: WakeQueue) -> None:
        self._database = database
        self._queue = queue
        self._storing: GroupCommit[None, Outcome, None] = GroupCommit(
            self._store_group, self._store_alone, patience_seconds=_PATIENCE_SECONDS
        )

    async def add(self, outcome: Outcome) -> None:
        """Store one, together with others that are added at the same time."""
        await self._storing.submit(None, outcome)

    async def store(self, outcomes: Sequence[Outcome]) -> None:
        """Store several, all at once if possible: one that Postgres refuses must not keep the others from it."""
        if not outcomes:
            return
        try:
            async with self._database.transaction() as tx:
                if await progress.set_outcomes(tx, outcomes):
                    self._queue.wake(tx, WakeKind.COPY)
            count_finished(outcome.attempt for outcome in outcomes)
        except AppError:
            raise  # Postgres is away: all of them are polled again when they are due again
        except Exception:  # whatever Postgres refuses to store of one of them must not keep the others
            if len(outcomes) == 1:
                # It is polled again when it is due again, and fails at its deadline.
                logger.exception("outcome_not_stored", extra={"generation_id": str(outcomes[0].attempt.generation_id)})
                return
            for outcome in outcomes:
                await self.store([outcome])

    async def _store_group(self, _key: None, outcomes: Sequence[Outcome]) -> Sequence[None] | None:
        if sum(len(outcome.json) for outcome in outcomes) > MOST_CHARACTERS_AT_ONCE:
            return None
        await self.store(outcomes)
        return [None] * len(outcomes)

    async def _store_alone(self, _key: None, outcome: Outcome) -> None:
        await self.store([outcome])
