"""What a crash, a lost job or a silent vendor left behind. Every worker sweeps; each step bears to run twice."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from redis.exceptions import RedisError

from app.content import outputs, transitions
from app.content.attempts import Attempt, OverdueAttempt
from app.content.outputs import Reserved
from app.content.service import FINISH_JOB, START_JOB
from app.core.clock import now
from app.core.errors import AppError
from app.credits.grants import grant_monthly_credits
from app.credits.service import void_expired
from app.idempotency.service import forget_expired
from app.predictions.protocol import PredictionError
from app.resources import Resources
from worker.ending import fail, start_next
from worker.lifecycle import WorkerContext

logger = logging.getLogger(__name__)

_BATCH = 200
_GRACE = timedelta(seconds=1)
_CANCEL_SECONDS = 2


async def sweep(context: WorkerContext) -> None:
    """Move on every attempt whose next step should have happened."""
    resources = context.resources
    async with resources.database.transaction() as tx:
        overdue = await transitions.find_overdue(tx, _BATCH, _GRACE)
    late = [attempt for attempt in overdue if attempt.deadline_at <= now()]
    lost = await _without_job(resources, [attempt for attempt in overdue if attempt not in late])
    for attempt in [*late, *lost]:
        try:
            await _move_on(resources, attempt)
        except (RedisError, OSError, AppError) as error:
            # The others do not wait for this one; it comes again with the next sweep.
            logger.warning("step_not_made", extra={"content_id": str(attempt.id), "reason": repr(error)})


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
    async with context.resources.database.transaction() as tx:
        abandoned = await outputs.find_abandoned(tx, _BATCH)
    for reserved in abandoned:
        await _remove(context.resources, reserved)


async def _remove(resources: Resources, reserved: Reserved) -> None:
    await resources.store.delete(reserved.storage_path)
    async with resources.database.transaction() as tx:
        await outputs.release(tx, reserved)
    # A worker that still wrote it may have been done in between; one that is done later sees that it is released.
    await resources.store.delete(reserved.storage_path)


async def _without_job(resources: Resources, overdue: Sequence[OverdueAttempt]) -> list[OverdueAttempt]:
    """Those whose job was lost. In a long queue the others' still wait, and a second one would make it longer."""
    try:
        waiting = await resources.queue.are_waiting([(_job(late), str(late.id), late.attempt) for late in overdue])
    except (RedisError, OSError) as error:
        logger.warning("queue_away", extra={"reason": repr(error)})
        return []
    return [attempt for attempt, is_waiting in zip(overdue, waiting, strict=True) if not is_waiting]


def _job(overdue: OverdueAttempt) -> str:
    return FINISH_JOB if overdue.has_outcome else START_JOB


async def _move_on(resources: Resources, overdue: OverdueAttempt) -> None:
    if overdue.deadline_at <= now():
        await _give_up(resources, overdue, is_running=overdue.prediction_id is not None and not overdue.has_outcome)
    else:
        # What is sent again for the same due moment is the same job, which the queue holds once.
        await resources.queue.send(_job(overdue), str(overdue.id), overdue.attempt, due_at=overdue.due_at)


async def _give_up(resources: Resources, attempt: Attempt, *, is_running: bool) -> None:
    await fail(resources, attempt, "The generation did not end by its deadline")
    if is_running and attempt.prediction_id is not None:
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                await resources.predictions.cancel(attempt.prediction_id)
        except (PredictionError, TimeoutError) as error:
            # The vendor cancels it by itself: every prediction is created with a time limit.
            logger.warning("cancel_failed", extra={"content_id": str(attempt.id), "reason": repr(error)})
