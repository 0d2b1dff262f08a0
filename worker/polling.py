"""From a running prediction to its outcome, by looking at the vendor; no job waits for it."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from app.content import transitions
from app.content.service import FINISH_JOB
from app.content.transitions import Generation
from app.core.clock import now
from app.predictions.protocol import Prediction, PredictionError, PredictionMissingError
from app.resources import Resources
from worker.ending import fail
from worker.lifecycle import WorkerContext
from worker.sources import first_url, sources_of

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 2000
_LONGEST_PAUSE = timedelta(seconds=10)
# From so many on, the vendor's list, a hundred to the page, is cheaper than a look at each.
_WORTH_A_LIST = 30
_MOST_LOOKS_AT_ONCE = 20
_MOST_LISTED = 10_000
_CLOCK_MARGIN = timedelta(seconds=60)


async def poll(context: WorkerContext) -> None:
    """Look once at every running attempt that is due."""
    resources = context.resources
    shortest = timedelta(seconds=resources.settings.poll_interval_seconds)
    async with resources.database.transaction() as tx:
        due = await transitions.claim_polls(tx, _MOST_AT_ONCE, shortest, _LONGEST_PAUSE)
    if len(due) >= _WORTH_A_LIST:
        due = await _observe_listed(resources, due)
    places = asyncio.Semaphore(_MOST_LOOKS_AT_ONCE)
    await asyncio.gather(*(_look(resources, generation, places) for generation in due[:_WORTH_A_LIST]))


async def _observe_listed(resources: Resources, due: Sequence[Generation]) -> list[Generation]:
    """Observe what the vendor's list tells of; what it does not tell of is left over."""
    left = {generation.prediction_id: generation for generation in due}
    oldest = min(generation.started_at or now() for generation in due) - _CLOCK_MARGIN
    listed = 0
    if await resources.vendor_budget.wait_before_read():
        return []
    try:
        async for prediction in resources.predictions.recent(oldest):
            listed += 1
            if generation := left.pop(prediction.id, None):
                await observe(resources, generation, prediction)
            if not left or listed >= _MOST_LISTED:
                break
    except PredictionError as error:
        # They are looked at again when they are due again.
        logger.warning("list_failed", extra={"reason": error.text})
        return []
    return list(left.values())


async def _look(resources: Resources, generation: Generation, places: asyncio.Semaphore) -> None:
    async with places:
        # Without a place in the vendor's budget it is looked at when it is due again.
        if not await resources.vendor_budget.wait_before_read():
            await _ask(resources, generation)


async def _ask(resources: Resources, generation: Generation) -> None:
    assert generation.prediction_id is not None  # noqa: S101 - what `claim_polls` selects
    try:
        prediction = await resources.predictions.get(generation.prediction_id)
    except PredictionMissingError:
        await fail(resources, generation, "The vendor does not know the prediction any more")
    except PredictionError as error:
        # It is looked at again when it is due again.
        logger.warning("poll_failed", extra={"content_id": str(generation.id), "reason": error.text})
    else:
        await observe(resources, generation, prediction)


async def observe(resources: Resources, generation: Generation, prediction: Prediction) -> None:
    """Take in what the vendor says of an attempt's prediction. A status that is not known is waited out."""
    if not prediction.is_terminal:
        return
    if prediction.status != "succeeded":
        await fail(resources, generation, prediction.error or f"The prediction was {prediction.status}")
    elif not sources_of(prediction.output):
        reason = "has removed the output already" if prediction.data_removed else "returned no output"
        await fail(resources, generation, f"The prediction succeeded, but the vendor {reason}")
    else:
        await _keep_outcome(resources, generation, prediction)


async def _keep_outcome(resources: Resources, generation: Generation, prediction: Prediction) -> None:
    predict_time = None if prediction.predict_time is None else str(prediction.predict_time)
    outcome = {"output": prediction.output, "predict_time": predict_time}
    async with resources.database.transaction() as tx:
        is_new = await transitions.set_outcome(
            tx, generation.id, generation.attempt, outcome, first_url(prediction.output)
        )
        if is_new:
            resources.queue.enqueue(tx, FINISH_JOB, str(generation.id), generation.attempt)
