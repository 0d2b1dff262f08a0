"""From pending to a running prediction, at most one for an attempt."""

import logging
import uuid
from datetime import timedelta

from app.content import transitions
from app.content.callbacks import webhook_url
from app.content.transitions import Generation
from app.core.backoff import backoff
from app.core.clock import now
from app.predictions.protocol import (
    Prediction,
    PredictionDeniedError,
    PredictionRejectedError,
    PredictionThrottledError,
    PredictionUnavailableError,
    PredictionUncertainError,
)
from app.resources import Resources
from worker.ending import fail

logger = logging.getLogger(__name__)

# A start that has not come back by then is looked for at the vendor.
_START_LEASE = timedelta(seconds=60)
# An attempt that waits for its organization is looked at again then, should the word that it may start be lost.
_LONGEST_IN_QUEUE = timedelta(seconds=30)
# The vendor's clock and ours may differ.
_CLOCK_MARGIN = timedelta(seconds=60)
_SHORTEST_CANCEL_AFTER = 5


async def start(resources: Resources, content_id: uuid.UUID, attempt: int) -> None:
    """Have the vendor run a pending attempt. What the vendor certainly did not accept is pending again."""
    async with resources.database.transaction() as tx:
        generation = await transitions.begin(tx, content_id, attempt, _START_LEASE)
        if generation is None:
            await transitions.queue(tx, content_id, attempt, _LONGEST_IN_QUEUE)
    if generation is None:
        return
    wait = await _wait_for_vendor(resources)
    if wait:
        await _postpone(resources, generation, wait)
        return
    try:
        prediction = await resources.predictions.create(
            model=generation.model,
            input=generation.input,
            webhook=webhook_url(resources.settings, generation),
            cancel_after=_seconds_left(generation),
        )
    except PredictionUncertainError:
        # It may run: `adopt` looks for it when the lease has run out.
        logger.warning("prediction_uncertain", extra={"content_id": str(generation.id)})
    except PredictionRejectedError as error:
        await fail(resources, generation, error.text)
    except (PredictionThrottledError, PredictionDeniedError, PredictionUnavailableError) as error:
        await _put_off(resources, generation, error)
    else:
        await _accept(resources, generation, prediction)


async def adopt(resources: Resources, generation: Generation) -> None:
    """Find the prediction of a start that never came back.

    The vendor lists it if it accepted it: one that fits is this attempt's, none means that nothing runs. Where several
    fit, nobody can tell which it is: the attempt waits for its deadline, by which the vendor has cancelled them.
    """
    if generation.started_at is None:
        return
    webhook = webhook_url(resources.settings, generation)
    recent = resources.predictions.recent(generation.started_at - _CLOCK_MARGIN)
    fitting = [prediction async for prediction in recent if _fits(prediction, generation, webhook)]
    found = [prediction for prediction in fitting if not await _is_taken(resources, prediction.id)]
    if len(found) == 1:
        await _accept(resources, generation, found[0])
    elif not found:
        await _postpone(resources, generation, timedelta(0))


def _fits(prediction: Prediction, generation: Generation, webhook: str | None) -> bool:
    if webhook is not None:
        return prediction.webhook == webhook
    name, _, version = generation.model.partition(":")
    is_model = name in {prediction.model, prediction.version} and version in {"", prediction.version}
    return is_model and dict(prediction.input) == dict(generation.input)


async def _is_taken(resources: Resources, prediction_id: str) -> bool:
    async with resources.database.transaction() as tx:
        return await transitions.is_prediction_known(tx, prediction_id)


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
        await _postpone(resources, generation, timedelta(seconds=error.wait_seconds))
        return
    if isinstance(error, PredictionDeniedError):
        await resources.vendor_budget.denied(error.text)
    wait = backoff(generation.setbacks, first=1, longest=30)
    await _postpone(resources, generation, wait, is_setback=True)


async def _accept(resources: Resources, generation: Generation, prediction: Prediction) -> None:
    first_look = timedelta(seconds=resources.settings.poll_interval_seconds)
    async with resources.database.transaction() as tx:
        is_ours = await transitions.set_prediction(tx, generation.id, generation.attempt, prediction.id, first_look)
        is_known = is_ours or await transitions.is_prediction_known(tx, prediction.id)
    if not is_known:
        # The attempt has moved on without this run: nobody waits for it, so it must not go on costing.
        await resources.predictions.cancel(prediction.id)


async def _postpone(resources: Resources, generation: Generation, wait: timedelta, *, is_setback: bool = False) -> None:
    async with resources.database.transaction() as tx:
        await transitions.postpone(tx, generation.id, generation.attempt, wait, is_setback=is_setback)


def _seconds_left(generation: Generation) -> int:
    return max(_SHORTEST_CANCEL_AFTER, int((generation.deadline_at - now()).total_seconds()))
