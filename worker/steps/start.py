"""From pending to a running prediction, at most one for an attempt."""

import asyncio
import logging
import uuid
from datetime import timedelta

from app.core.backoff import backoff
from app.core.clock import now
from app.generations import transitions
from app.generations.attempts import Generation
from app.generations.callbacks import webhook_url
from app.predictions.protocol import (
    Prediction,
    PredictionDeniedError,
    PredictionRejectedError,
    PredictionThrottledError,
    PredictionUnavailableError,
    PredictionUncertainError,
)
from app.resources import Resources
from worker.process.lifecycle import WorkerContext
from worker.steps.end import fail

logger = logging.getLogger(__name__)

_SHORTEST_CANCEL_AFTER = 5


async def start(context: WorkerContext, content_id: uuid.UUID, attempt: int) -> None:
    """Have the vendor run a pending attempt. What the vendor certainly did not accept is pending again."""
    resources = context.resources
    async with resources.database.transaction() as tx:
        generation = await transitions.begin(tx, content_id, attempt, context.lease)
        if generation is None:
            await transitions.queue(tx, content_id, attempt)
    if generation is None:
        return
    wait = await _wait_for_vendor(resources)
    if wait:
        await postpone(resources, generation, wait)
        return
    try:
        prediction = await _create(context, generation)
    except (PredictionUncertainError, TimeoutError):
        # It may run: `adopt_orphans` looks for it when the lease has run out.
        logger.warning("prediction_uncertain", extra={"content_id": str(generation.id)})
    except PredictionRejectedError as error:
        await fail(resources, generation, error.text)
    except (PredictionThrottledError, PredictionDeniedError, PredictionUnavailableError) as error:
        await _put_off(resources, generation, error)
    else:
        await accept(resources, generation, prediction)


async def accept(resources: Resources, generation: Generation, prediction: Prediction) -> None:
    """Take the prediction for the attempt's, or have it cancelled where it has another one or has ended."""
    first_look = timedelta(seconds=resources.settings.poll_interval_seconds)
    async with resources.database.transaction() as tx:
        is_ours = await transitions.set_prediction(tx, generation.id, generation.attempt, prediction.id, first_look)
        is_known = is_ours or await transitions.is_prediction_known(tx, prediction.id)
    if not is_known:
        # Nobody waits for this run, so it must not go on costing.
        await resources.predictions.cancel(prediction.id)


async def postpone(resources: Resources, generation: Generation, wait: timedelta, *, is_setback: bool = False) -> None:
    """Make the attempt pending again: nothing runs for it, and it may be started after the wait."""
    async with resources.database.transaction() as tx:
        await transitions.postpone(tx, generation, wait, is_setback=is_setback)


async def _create(context: WorkerContext, generation: Generation) -> Prediction:
    resources = context.resources
    # The lease must last until the vendor can be asked for what became of the request.
    async with asyncio.timeout(context.lease.total_seconds() / 2):
        return await resources.predictions.create(
            model=generation.model,
            input=generation.input,
            webhook=webhook_url(resources.settings, generation),
            cancel_after=_seconds_left(generation),
        )


async def _wait_for_vendor(resources: Resources) -> timedelta:
    """How long the vendor's budget, or its refusal of our account, lets nothing start; 0 where it may."""
    denial = await resources.vendor_budget.denial()
    return denial[1] if denial else await resources.vendor_budget.wait_before_create()


async def _put_off(
    resources: Resources,
    generation: Generation,
    error: PredictionThrottledError | PredictionDeniedError | PredictionUnavailableError,
) -> None:
    if isinstance(error, PredictionThrottledError):
        await resources.vendor_budget.throttled(error.wait_seconds)
        await postpone(resources, generation, timedelta(seconds=error.wait_seconds))
        return
    if isinstance(error, PredictionDeniedError):
        await resources.vendor_budget.denied(error.text)
    wait = backoff(generation.setbacks, first=1, longest=30)
    await postpone(resources, generation, wait, is_setback=True)


def _seconds_left(generation: Generation) -> int:
    return max(_SHORTEST_CANCEL_AFTER, int((generation.deadline_at - now()).total_seconds()))
