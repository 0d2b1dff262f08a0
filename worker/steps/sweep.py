"""Repairs what a crash, a lost wake or a silent vendor left behind. Every worker sweeps; each step is idempotent."""

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from redis.exceptions import RedisError

from app.core.database import Database
from app.core.errors import AppError, ServiceUnavailableError
from app.core.span_names import SpanName
from app.core.tracing import Tracer
from app.generations import due, endings, outputs, parking
from app.generations.attempts import Attempt
from app.generations.outputs import ReservedOutput
from app.queue.protocol import WakeKind, WakeQueue
from app.storage.protocol import ObjectStore, StoreError
from worker.steps.cancel import CancelStep
from worker.steps.counting import Reason, count_failed
from worker.steps.end import Ending
from worker.steps.traced import belonging, resuming

logger = logging.getLogger(__name__)

_BATCH = 200
_GRACE = timedelta(seconds=1)
# A worker that is not asleep finds within a lease that it has lost an attempt.
_LEASES = 2


@dataclass(frozen=True)
class SweepStep:
    """Finds everything that no wake and no poll would move on.

    Attributes:
        lease: how long a worker may be silent.
        unsent: the kinds of which rows are due, and for which no wake could be sent. This process looks by itself.
    """

    database: Database
    queue: WakeQueue
    store: ObjectStore
    ending: Ending
    cancels: CancelStep
    lease: timedelta
    unsent: set[WakeKind] = field(default_factory=set)
    tracer: Tracer | None = None

    async def wake_due(self) -> None:
        """Wake the workers for due rows: their wake was lost, or they have become due since it was sent."""
        async with self.database.transaction() as tx:
            kinds = await due.find_due_kinds(tx)
        for kind in kinds:
            try:
                await self.queue.send(kind)
            except (RedisError, OSError) as error:
                logger.warning("queue_away", extra={"reason": repr(error)})
                self.unsent.add(kind)

    async def end_late(self) -> None:
        """Fail every attempt that is past its deadline, then have the vendor cancel those that it still runs.

        All of them fail before the vendor is called, because it may be slow.
        """
        async with self.database.transaction() as tx:
            late = await due.find_late(tx, _BATCH, _GRACE)
        # Each attempt of an organization that is locked would wait for as long as the first.
        locked: set[str] = set()
        for attempt in late:
            if attempt.organization_id in locked:
                continue
            try:
                await self._fail_late(attempt)
            except AppError:
                locked.add(attempt.organization_id)
            except Exception:  # the others do not wait for this one; it is tried again in the next round
                logger.exception("end_failed", extra={"generation_id": str(attempt.generation_id)})
        if late:
            await self.cancels.run()

    async def _fail_late(self, attempt: Attempt) -> None:
        message = "The generation did not end by its deadline"
        with belonging(attempt), resuming(self.tracer, SpanName.FAIL, attempt):
            has_failed = await self.ending.fail_late(attempt, message, _GRACE)
            count_failed(Reason.DEADLINE, has_failed=has_failed)

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
        """Delete from the store what ended attempts left there and no content needs.

        It waits until the workers that may still write for such an attempt have found that they have lost it. A worker
        that slept for longer makes the row of its object again.
        """
        cursor, is_more = outputs.START, True
        while is_more:
            async with self.database.transaction() as tx:
                abandoned = await outputs.find_abandoned(tx, cursor, _BATCH, _LEASES * self.lease)
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
            await self._delete_released(output)
        except StoreError as error:
            # The others must not wait for this one; it is tried again in the next round.
            logger.warning("object_not_removed", extra={"path": output.storage_path, "reason": str(error)})

    async def _delete_released(self, output: ReservedOutput) -> None:
        try:
            await self.store.delete(output.storage_path)
        except StoreError:
            async with self.database.transaction() as tx:
                await outputs.reserve_again(tx, [output])
            raise
