"""Starts that never came back: whether they run, and as what, is told by the vendor's list."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from app.core.clock import now
from app.generations import transitions
from app.generations.attempts import Generation
from app.generations.callbacks import is_webhook_of
from app.predictions.protocol import Prediction, PredictionError
from app.resources import Resources
from worker.process.lifecycle import WorkerContext
from worker.steps.start import accept, postpone

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 500
_GRACE = timedelta(seconds=1)
# The vendor's clock and ours may differ.
_CLOCK_MARGIN = timedelta(seconds=60)


async def adopt_orphans(context: WorkerContext) -> None:
    """Find the predictions of all starts that have not come back within their lease, in one look through the list.

    The vendor lists what it accepted. The one prediction that reports to the attempt is the attempt's, or else the one
    that reports to nobody and is what the attempt would have been; none means that nothing runs. Where several fit,
    nobody can tell which it is: the attempt waits for its deadline, by which the vendor has cancelled them.
    """
    resources = context.resources
    async with resources.database.transaction() as tx:
        orphans = await transitions.claim_orphans(tx, _MOST_AT_ONCE, _GRACE, context.lease)
    # Without a place in the vendor's budget they are looked for again when this claim has run out.
    if not orphans or await resources.vendor_budget.wait_before_read():
        return
    try:
        fitting = await _find_fitting(resources, orphans)
    except PredictionError as error:
        # They are looked for again when this claim has run out.
        logger.warning("adoption_failed", extra={"orphans": len(orphans), "reason": error.text})
        return
    for orphan, predictions in zip(orphans, fitting, strict=True):
        await _adopt(resources, orphan, predictions)


async def _find_fitting(resources: Resources, orphans: Sequence[Generation]) -> list[list[Prediction]]:
    """The predictions that may be each orphan's."""
    fitting: list[list[Prediction]] = [[] for _ in orphans]
    oldest = min(_earliest_start(orphan) for orphan in orphans)
    async for prediction in resources.predictions.recent(oldest):
        for orphan, found in zip(orphans, fitting, strict=True):
            if _fits(prediction, orphan):
                found.append(prediction)
    return fitting


def _fits(prediction: Prediction, orphan: Generation) -> bool:
    # A webhook is told by what it says of the attempt: the settings may have changed since it was started.
    if prediction.webhook is not None:
        return is_webhook_of(prediction.webhook, orphan)
    if prediction.created_at < _earliest_start(orphan):
        return False
    name, _, version = orphan.model.partition(":")
    is_model = name in {prediction.model, prediction.version} and version in {"", prediction.version}
    return is_model and dict(prediction.input) == dict(orphan.input)


def _earliest_start(orphan: Generation) -> datetime:
    """The earliest moment that the vendor may give as the beginning of the attempt's run."""
    return (orphan.started_at or now()) - _CLOCK_MARGIN


async def _adopt(resources: Resources, orphan: Generation, fitting: Sequence[Prediction]) -> None:
    # What reports to the attempt is its own; the others only look like it.
    candidates = [prediction for prediction in fitting if prediction.webhook is not None] or fitting
    found = [prediction for prediction in candidates if not await _is_taken(resources, prediction.id)]
    if len(found) == 1:
        await accept(resources, orphan, found[0])
    elif not found:
        await postpone(resources, orphan, timedelta(0))


async def _is_taken(resources: Resources, prediction_id: str) -> bool:
    async with resources.database.transaction() as tx:
        return await transitions.is_prediction_known(tx, prediction_id)
