from collections.abc import Sequence
from datetime import timedelta

from app.core.database import Database
from app.core.errors import AppError
from app.core.group_commit import GroupCommit
from app.generations import progress
from app.generations.attempts import ClaimedAttempt
from app.generations.progress import Accepted
from worker.steps.cancel import CancelStep
from worker.steps.counting import count_started
from worker.steps.pace import Pace

_PATIENCE_SECONDS = 0.05


class Acceptance:
    """Stores which prediction an attempt has. The attempt is polled for the first time after `first_poll`.

    Responses that come at the same time are stored by one statement.
    """

    def __init__(
        self, database: Database, cancels: CancelStep, pace: Pace, *, first_poll: timedelta, lease: timedelta
    ) -> None:
        self.first_poll = first_poll
        self._database = database
        self._cancels = cancels
        self._pace = pace
        self._lease = lease
        self._accepting: GroupCommit[None, Accepted, bool] = GroupCommit(
            self._accept_plain, self._accept_one, patience_seconds=_PATIENCE_SECONDS
        )

    async def accept(self, attempt: ClaimedAttempt, prediction_id: str) -> None:
        """Store what a create call of the attempt has made. What the attempt does not need is cancelled."""
        self._pace.expect(self.first_poll)
        if await self._accepting.submit(None, Accepted(attempt, prediction_id)):
            count_started(attempt)
            return
        async with self._database.transaction() as tx:
            surplus = await progress.accept(tx, attempt, prediction_id, self.first_poll, lease=self._lease)
        count_started(attempt)
        await self._cancels.cancel(surplus)

    async def _accept_plain(self, _key: None, accepted: Sequence[Accepted]) -> list[bool]:
        return await progress.accept_plain(self._database, accepted, self.first_poll)

    async def _accept_one(self, _key: None, one: Accepted) -> bool:
        try:
            return (await self._accept_plain(None, [one]))[0]
        except AppError:
            raise  # Postgres is away
        except Exception:  # noqa: BLE001 - a unique index, most likely; the steps of `accept` look closer
            return False
