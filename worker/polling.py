"""From a running prediction to its outcome, by looking at the vendor; no job waits for it."""

import asyncio
import logging
from datetime import timedelta

from app.content import transitions
from app.content.service import FINISH_JOB
from app.content.transitions import Generation
from app.core.json import storable_text
from app.predictions.protocol import Prediction, PredictionError, PredictionMissingError
from app.resources import Resources
from worker.lifecycle import WorkerContext
from worker.sources import first_url, sources_of

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 50
_LONGEST_PAUSE = timedelta(seconds=10)


async def poll(context: WorkerContext) -> None:
    """Look once at every running attempt that is due."""
    resources = context.resources
    shortest = timedelta(seconds=resources.settings.poll_interval_seconds)
    while True:
        async with resources.database.transaction() as tx:
            due = await transitions.claim_polls(tx, _MOST_AT_ONCE, shortest, _LONGEST_PAUSE)
        await asyncio.gather(*(_look(resources, generation) for generation in due))
        if len(due) < _MOST_AT_ONCE:
            return


async def _look(resources: Resources, generation: Generation) -> None:
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


async def fail(resources: Resources, generation: Generation, message: str) -> None:
    """End the attempt at no cost, with the vendor's words."""
    async with resources.database.transaction() as tx:
        await transitions.fail(tx, generation.id, generation.attempt, storable_text(message))


async def _keep_outcome(resources: Resources, generation: Generation, prediction: Prediction) -> None:
    predict_time = None if prediction.predict_time is None else str(prediction.predict_time)
    outcome = {"output": prediction.output, "predict_time": predict_time}
    async with resources.database.transaction() as tx:
        is_new = await transitions.set_outcome(
            tx, generation.id, generation.attempt, outcome, first_url(prediction.output)
        )
        if is_new:
            resources.queue.enqueue(tx, FINISH_JOB, str(generation.id), generation.attempt)
