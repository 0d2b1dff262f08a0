"""What a crash, a lost job or a silent vendor left behind. Every worker sweeps; each step bears to run twice."""

import logging
from datetime import timedelta

from app.content import outputs, states, transitions
from app.content.service import FINISH_JOB, START_JOB
from app.content.transitions import Generation
from app.core.clock import now
from app.credits.grants import grant_monthly_credits
from app.credits.service import void_expired
from app.idempotency.service import forget_expired
from app.predictions.protocol import PredictionError
from app.resources import Resources
from worker.ending import fail
from worker.lifecycle import WorkerContext
from worker.starting import adopt

logger = logging.getLogger(__name__)

_BATCH = 200
_GRACE = timedelta(seconds=1)


async def sweep(context: WorkerContext) -> None:
    """Move on every attempt whose next step should have happened."""
    async with context.resources.database.transaction() as tx:
        overdue = await transitions.find_overdue(tx, _BATCH, _GRACE)
    for status, generation in overdue:
        await _move_on(context.resources, status, generation)


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
    resources = context.resources
    async with resources.database.transaction() as tx:
        abandoned = await outputs.find_abandoned(tx, _BATCH)
    for reserved in abandoned:
        await resources.store.delete(reserved.storage_path)
        async with resources.database.transaction() as tx:
            await outputs.release(tx, reserved)


async def _move_on(resources: Resources, status: str, generation: Generation) -> None:
    if generation.deadline_at <= now():
        await _give_up(resources, generation)
    elif status == states.PENDING:
        await _send(resources, START_JOB, generation)
    elif generation.outcome is not None:
        await _send(resources, FINISH_JOB, generation)
    elif generation.prediction_id is None:
        await _adopt(resources, generation)


async def _give_up(resources: Resources, generation: Generation) -> None:
    if generation.prediction_id is not None and generation.outcome is None:
        try:
            await resources.predictions.cancel(generation.prediction_id)
        except PredictionError as error:
            # The vendor cancels it by itself: every prediction is created with a time limit.
            logger.warning("cancel_failed", extra={"content_id": str(generation.id), "reason": error.text})
    await fail(resources, generation, "The generation did not end by its deadline")


async def _send(resources: Resources, job: str, generation: Generation) -> None:
    # A step that is sent again for the same due moment is the same job, which the queue holds once.
    await resources.queue.send(job, str(generation.id), generation.attempt, due_at=generation.due_at)


async def _adopt(resources: Resources, generation: Generation) -> None:
    try:
        await adopt(resources, generation)
    except PredictionError as error:
        logger.warning("adoption_failed", extra={"content_id": str(generation.id), "reason": error.text})
