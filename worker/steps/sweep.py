"""What a crash, a lost job or a silent vendor left behind. Every worker sweeps; each step bears to run twice."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from redis.exceptions import RedisError

from app.core.clock import now
from app.credits.grants import grant_monthly_credits
from app.credits.service import void_expired
from app.generations import due, outputs, transitions
from app.generations.attempts import LateAttempt
from app.generations.due import FindOverdue
from app.generations.outputs import Reserved
from app.generations.service import FINISH_JOB, START_JOB
from app.idempotency.service import forget_expired
from app.predictions.protocol import PredictionError
from app.resources import Resources
from app.storage.protocol import StoreError
from worker.process.lifecycle import WorkerContext
from worker.steps.end import fail, start_next

logger = logging.getLogger(__name__)

_BATCH = 200
_GRACE = timedelta(seconds=1)
_MOST_CANCELS_AT_ONCE = 20
_CANCEL_SECONDS = 5


async def sweep(context: WorkerContext) -> None:
    """End every attempt that is past its deadline, and move on those whose next step should have happened."""
    resources = context.resources
    ended = await _end_late(resources)
    await asyncio.gather(_send_lost(resources), _cancel(resources, [each for each in ended if each.is_running]))


async def fill_places(context: WorkerContext) -> None:
    """Start what waits for its organization though there are places, and nothing that ends will do so.

    Its plan allows more than it did, or the last one before it ended just when it came.
    """
    resources = context.resources
    async with resources.database.transaction() as tx:
        free = await transitions.find_free_places(tx)
    for organization_id, places in free:
        async with resources.database.transaction() as tx:
            await transitions.lock_organization(tx, organization_id)
            await start_next(tx, resources, organization_id, places)


async def void_expired_holds(context: WorkerContext) -> None:
    """Give back what crashed turns had put aside."""
    await void_expired(context.resources.database)


async def grant_credits_of_the_month(context: WorkerContext) -> None:
    """Give subscribed organizations what their plans give every month."""
    await grant_monthly_credits(context.resources.database, now())


async def forget_idempotency_keys(context: WorkerContext) -> None:
    """Remove Idempotency-Keys whose time is over."""
    await forget_expired(context.resources.database)


async def remove_abandoned(context: WorkerContext) -> None:
    """Remove from the store what failed attempts left there."""
    place, is_more = outputs.FIRST_PLACE, True
    while is_more:
        async with context.resources.database.transaction() as tx:
            abandoned = await outputs.find_abandoned(tx, place, _BATCH)
        for reserved in abandoned:
            place = reserved.place
            await _remove(context.resources, reserved)
        is_more = len(abandoned) == _BATCH


async def _remove(resources: Resources, reserved: Reserved) -> None:
    try:
        await resources.store.delete(reserved.storage_path)
        async with resources.database.transaction() as tx:
            await outputs.release(tx, reserved)
        # A worker that still wrote it may have been done in between; one that is done later sees that it is released.
        await resources.store.delete(reserved.storage_path)
    except StoreError as error:
        # The others do not wait for this one; it comes again with the next look.
        logger.warning("object_not_removed", extra={"path": reserved.storage_path, "reason": str(error)})


async def _end_late(resources: Resources) -> list[LateAttempt]:
    """Those that failed by this. All of them fail before the vendor is told of any: it may take its time."""
    async with resources.database.transaction() as tx:
        late = await due.find_late(tx, _BATCH, _GRACE)
    return [attempt for attempt in late if await _end(resources, attempt)]


async def _end(resources: Resources, attempt: LateAttempt) -> bool:
    try:
        return await fail(resources, attempt, "The generation did not end by its deadline")
    except Exception:  # the others do not wait for this one; it comes again with the next sweep
        logger.exception("step_not_made", extra={"content_id": str(attempt.id)})
        return False


async def _cancel(resources: Resources, ended: Sequence[LateAttempt]) -> None:
    """Have the vendor stop them. What it has not answered in time it cancels by itself: each has a time limit there."""
    places = asyncio.Semaphore(_MOST_CANCELS_AT_ONCE)
    try:
        async with asyncio.timeout(_CANCEL_SECONDS):
            await asyncio.gather(*(_cancel_one(resources, attempt, places) for attempt in ended))
    except TimeoutError:
        logger.warning("cancels_not_answered", extra={"predictions": len(ended)})


async def _cancel_one(resources: Resources, attempt: LateAttempt, places: asyncio.Semaphore) -> None:
    assert attempt.prediction_id is not None  # noqa: S101 - what `is_running` says
    async with places:
        try:
            await resources.predictions.cancel(attempt.prediction_id)
        except PredictionError as error:
            logger.warning("cancel_failed", extra={"content_id": str(attempt.id), "reason": repr(error)})


async def _send_lost(resources: Resources) -> None:
    try:
        await _send_again(resources, FINISH_JOB, due.find_copies)
        await _send_again(resources, START_JOB, due.find_starts)
    except (RedisError, OSError) as error:
        logger.warning("queue_away", extra={"reason": repr(error)})


async def _send_again(resources: Resources, job: str, find: FindOverdue) -> None:
    """Send the jobs that were lost, so many at once.

    Those that still wait in the queue are passed over: a second one would make it longer. However many they are, they
    hide none behind them.
    """
    place, sent, is_more = due.FIRST_PLACE, 0, True
    while is_more and sent < _BATCH:
        async with resources.database.transaction() as tx:
            due = await find(tx, place, _BATCH, _GRACE)
        jobs = [(job, str(attempt.id), attempt.attempt, attempt.due_at) for attempt in due]
        waiting = await resources.queue.are_waiting(jobs)
        lost = [attempt for attempt, is_waiting in zip(due, waiting, strict=True) if not is_waiting]
        for attempt in lost:
            # What is sent again for the same due moment is the same job, which the queue holds once.
            await resources.queue.send(job, str(attempt.id), attempt.attempt, due_at=attempt.due_at)
        sent += len(lost)
        is_more = len(due) == _BATCH
        place = due.place_of(due[-1]) if due else place
