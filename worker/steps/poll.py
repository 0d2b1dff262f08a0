"""From a running prediction to its outcome, by looking at the vendor; no job waits for it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta

import orjson

from app.core.clock import now
from app.core.json import storable_json
from app.generations import transitions
from app.generations.attempts import Attempt, Outcome
from app.generations.service import FINISH_JOB
from app.predictions.protocol import (
    Prediction,
    PredictionDeniedError,
    PredictionError,
    PredictionMissingError,
    PredictionThrottledError,
)
from app.resources import Resources
from worker.process.lifecycle import WorkerContext
from worker.steps.end import fail
from worker.transfer.sources import first_url, is_empty

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 10_000
_LONGEST_PAUSE = timedelta(seconds=10)
# From so many on, the vendor's list, a hundred to the page, is cheaper than a look at each.
_WORTH_A_LIST = 30
_MOST_LOOKS_AT_ONCE = 20
_MOST_LISTED = 10_000
_PAGE_SIZE = 100
_MOST_WRITTEN_AT_ONCE = 100
_CLOCK_MARGIN = timedelta(seconds=60)
_CANNOT_BE_STORED = "The prediction succeeded, but its output cannot be stored"


async def poll(context: WorkerContext) -> None:
    """Look once at every running attempt that is due."""
    resources = context.resources
    due = await _claim(resources, ahead=timedelta(0))
    if len(due) >= _WORTH_A_LIST:
        # A list costs as much for some as for all: those that would be due until the next one come along.
        due += await _claim(resources, ahead=_LONGEST_PAUSE)
        due = await _observe_listed(resources, due)
    places = asyncio.Semaphore(_MOST_LOOKS_AT_ONCE)
    await asyncio.gather(*(_look(resources, attempt, places) for attempt in due[:_WORTH_A_LIST]))


async def _claim(resources: Resources, *, ahead: timedelta) -> list[Attempt]:
    shortest = timedelta(seconds=resources.settings.poll_interval_seconds)
    async with resources.database.transaction() as tx:
        return await transitions.claim_polls(tx, _MOST_AT_ONCE, shortest=shortest, longest=_LONGEST_PAUSE, ahead=ahead)


async def _observe_listed(resources: Resources, due: Sequence[Attempt]) -> list[Attempt]:
    """Observe what the vendor's list tells of; what it does not tell of is left over."""
    left = {attempt.prediction_id: attempt for attempt in due}
    oldest = min(attempt.started_at or now() for attempt in due) - _CLOCK_MARGIN
    seen: list[tuple[Attempt, Prediction]] = []
    if await resources.vendor_budget.denial() or await resources.vendor_budget.wait_before_read():
        return []
    try:
        async for prediction in _listed(resources, oldest):
            if attempt := left.pop(prediction.id, None):
                seen.append((attempt, prediction))
            if len(seen) >= _MOST_WRITTEN_AT_ONCE:
                await observe(resources, seen)
                seen = []
            if not left:
                break
    except PredictionError as error:
        # One page that cannot be read must not hide the others: some are looked at singly, the rest when due again.
        logger.warning("list_failed", extra={"reason": error.text})
        await _note_throttling(resources, error)
        if isinstance(error, PredictionDeniedError):
            await resources.vendor_budget.denied(error.text)
    await observe(resources, seen)
    return list(left.values())


async def _listed(resources: Resources, oldest: datetime) -> AsyncGenerator[Prediction]:
    """The account's predictions, newest first, as far back as the budget of calls reaches."""
    listed = 0
    async for prediction in resources.predictions.recent(oldest):
        yield prediction
        listed += 1
        # Each page is a call of its own.
        if listed % _PAGE_SIZE == 0 and (listed >= _MOST_LISTED or await resources.vendor_budget.wait_before_read()):
            return


async def _look(resources: Resources, attempt: Attempt, places: asyncio.Semaphore) -> None:
    async with places:
        # Without a place in the vendor's budget it is looked at when it is due again.
        if not await resources.vendor_budget.wait_before_read():
            await _ask(resources, attempt)


async def _ask(resources: Resources, attempt: Attempt) -> None:
    assert attempt.prediction_id is not None  # noqa: S101 - what `claim_polls` selects
    try:
        prediction = await resources.predictions.get(attempt.prediction_id)
    except PredictionMissingError:
        await fail(resources, attempt, "The vendor does not know the prediction any more")
    except PredictionError as error:
        # It is looked at again when it is due again.
        await _note_throttling(resources, error)
        logger.warning("poll_failed", extra={"content_id": str(attempt.id), "reason": error.text})
    else:
        await observe(resources, [(attempt, prediction)])


async def _note_throttling(resources: Resources, error: PredictionError) -> None:
    if isinstance(error, PredictionThrottledError):
        await resources.vendor_budget.throttled_reads(error.wait_seconds)


async def observe(resources: Resources, seen: Sequence[tuple[Attempt, Prediction]]) -> None:
    """Take in what the vendor says of attempts' predictions. A status that is not known is waited out."""
    outcomes: list[Outcome] = []
    for attempt, prediction in seen:
        if not prediction.is_terminal:
            continue
        reason = _failure(prediction)
        outcome = None if reason else _outcome(attempt, prediction, resources.settings.output_hosts)
        if outcome is not None:
            outcomes.append(outcome)
        else:
            await fail(resources, attempt, reason or _CANNOT_BE_STORED)
    if outcomes:
        await _keep(resources, outcomes)


def _failure(prediction: Prediction) -> str | None:
    """Why a prediction that has ended has no output; None where it has one."""
    if prediction.status != "succeeded":
        return prediction.error or f"The prediction was {prediction.status}"
    if is_empty(prediction.output):
        reason = "has removed the output already" if prediction.data_removed else "returned no output"
        return f"The prediction succeeded, but the vendor {reason}"
    return None


def _outcome(attempt: Attempt, prediction: Prediction, other_hosts: frozenset[str]) -> Outcome | None:
    """The outcome of an attempt; None where it is JSON that cannot be stored, such as half a surrogate pair."""
    predict_time = None if prediction.predict_time is None else str(prediction.predict_time)
    try:
        text = storable_json({"output": prediction.output, "predict_time": predict_time})
    except (orjson.JSONEncodeError, RecursionError):
        return None
    return Outcome(attempt, text, first_url(prediction.output, other_hosts))


async def _keep(resources: Resources, outcomes: Sequence[Outcome]) -> None:
    async with resources.database.transaction() as tx:
        for content_id, attempt in await transitions.set_outcomes(tx, outcomes):
            resources.queue.enqueue(tx, FINISH_JOB, str(content_id), attempt)
