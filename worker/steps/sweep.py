"""Repairs what a crash, a lost wake or a silent vendor left behind. Every worker sweeps; each step is idempotent."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from redis.exceptions import RedisError

from app.core.database import Database
from app.core.errors import AppError, ServiceUnavailableError
from app.generations import due, endings, outputs, parking
from app.generations.attempts import LateAttempt
from app.generations.outputs import ReservedOutput
from app.predictions.protocol import PredictionClient, PredictionError
from app.queue.protocol import WakeQueue
from app.storage.protocol import ObjectStore, StoreError
from worker.steps.end import Ending

logger = logging.getLogger(__name__)

_BATCH = 200
_GRACE = timedelta(seconds=1)
_MOST_CANCELS_AT_ONCE = 20
_CANCEL_SECONDS = 5


@dataclass(frozen=True)
class SweepStep:
    """Finds everything that no wake and no poll would move on."""

    database: Database
    queue: WakeQueue
    predictions: PredictionClient
    store: ObjectStore
    ending: Ending

    async def wake_due(self) -> None:
        """Wake the workers for due rows: their wake was lost, or they have become due since it was sent."""
        async with self.database.transaction() as tx:
            kinds = await due.find_due_kinds(tx)
        try:
            for kind in kinds:
                await self.queue.send(kind)
        except (RedisError, OSError) as error:
            logger.warning("queue_away", extra={"reason": repr(error)})

    async def end_late(self) -> None:
        """Fail every attempt that is past its deadline, then have the vendor cancel those that it still runs.

        All of them fail before the vendor is called, because it may be slow.
        """
        async with self.database.transaction() as tx:
            late = await due.find_late(tx, _BATCH, _GRACE)
        ended: list[LateAttempt] = []
        # Each attempt of an organization that is locked would wait for as long as the first.
        locked: set[str] = set()
        for attempt in late:
            if attempt.organization_id in locked:
                continue
            try:
                if await self.ending.fail(attempt, "The generation did not end by its deadline"):
                    ended.append(attempt)
            except AppError:
                locked.add(attempt.organization_id)
            except Exception:  # the others do not wait for this one; it is tried again in the next round
                logger.exception("end_failed", extra={"generation_id": str(attempt.generation_id)})
        await self._cancel([attempt for attempt in ended if attempt.is_running])

    async def fill_capacity(self) -> None:
        """Start parked generations that would not be started by the end of another one.

        Their plan allows more than before, or the last one ahead of them ended just as they were parked.
        """
        async with self.database.transaction() as tx:
            free = await parking.find_free_capacity(tx)
        for organization_id in free:
            with suppress(ServiceUnavailableError):
                async with self.database.transaction() as tx:
                    await parking.lock_organization(tx, organization_id)
                    await endings.unpark_next(tx, self.queue, organization_id)

    async def remove_abandoned(self) -> None:
        """Delete from the store what failed attempts left there."""
        cursor, is_more = outputs.START, True
        while is_more:
            async with self.database.transaction() as tx:
                abandoned = await outputs.find_abandoned(tx, cursor, _BATCH)
            for output in abandoned:
                cursor = output.cursor
                await self._remove(output)
            is_more = len(abandoned) == _BATCH

    async def _remove(self, output: ReservedOutput) -> None:
        try:
            await self.store.delete(output.storage_path)
            async with self.database.transaction() as tx:
                await outputs.release(tx, output)
            # A worker may have finished writing it since; one that finishes later sees that it is released.
            await self.store.delete(output.storage_path)
        except StoreError as error:
            # The others must not wait for this one; it is tried again in the next round.
            logger.warning("object_not_removed", extra={"path": output.storage_path, "reason": str(error)})

    async def _cancel(self, ended: Sequence[LateAttempt]) -> None:
        """Have the vendor cancel them. If it does not respond in time, its own limit ends them: each start sets one."""
        calls = asyncio.Semaphore(_MOST_CANCELS_AT_ONCE)
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                await asyncio.gather(*(self._cancel_one(attempt, calls) for attempt in ended))
        except TimeoutError:
            logger.warning("cancels_unconfirmed", extra={"predictions": len(ended)})

    async def _cancel_one(self, attempt: LateAttempt, calls: asyncio.Semaphore) -> None:
        assert attempt.prediction_id is not None  # noqa: S101 - what `is_running` says
        async with calls:
            try:
                await self.predictions.cancel(attempt.prediction_id)
            except PredictionError as error:
                logger.warning(
                    "cancel_failed", extra={"generation_id": str(attempt.generation_id), "reason": repr(error)}
                )
