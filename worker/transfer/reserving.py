from collections.abc import Sequence

from app.core.database import Database
from app.core.group_commit import GroupCommit
from app.generations import outputs
from app.generations.attempts import ClaimedAttempt
from app.generations.media_types import MediaType
from app.generations.outputs import ReservedOutput, Wanted

_PATIENCE_SECONDS = 0.05


class Reservations:
    """Reserves paths for outputs. Those that are wanted at the same time are reserved by one statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reserving: GroupCommit[None, Wanted, bool] = GroupCommit(
            self._reserve_plain, self._reserve_one, patience_seconds=_PATIENCE_SECONDS
        )

    async def reserve(self, attempt: ClaimedAttempt, position: int, media: MediaType) -> ReservedOutput:
        """See `outputs.reserve`.

        Raises:
            AttemptLostError: the claim was lost.
        """
        wanted = Wanted(attempt, position, media)
        if await self._reserving.submit(None, wanted):
            return wanted.plain
        async with self._database.transaction() as tx:
            return await outputs.reserve(tx, attempt, position, media)

    async def _reserve_plain(self, _key: None, wanted: Sequence[Wanted]) -> list[bool]:
        return await outputs.reserve_plain(self._database, wanted)

    async def _reserve_one(self, _key: None, one: Wanted) -> bool:
        return (await self._reserve_plain(None, [one]))[0]
