"""From a running prediction to its outcome, by asking the vendor; no job waits for it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from app.core.clock import now
from app.core.database import Database
from app.core.errors import AppError
from app.core.json import storable_json
from app.generations import claims, progress
from app.generations.attempts import Attempt, Outcome
from app.predictions.budget import VendorBudget
from app.predictions.protocol import (
    Prediction,
    PredictionClient,
    PredictionDeniedError,
    PredictionError,
    PredictionMissingError,
    PredictionThrottledError,
)
from app.queue.protocol import WakeKind, WakeQueue
from worker.steps.end import Ending
from worker.transfer.sources import first_url, is_empty

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 10_000
_LONGEST_PAUSE = timedelta(seconds=10)
# From so many on, the vendor's list, a hundred to the page, costs less than a call for each.
_WORTH_A_LIST = 30
_MOST_CALLS_AT_ONCE = 20
_MOST_LISTED = 10_000
_PAGE_SIZE = 100
_MOST_WRITTEN_AT_ONCE = 100
_CLOCK_MARGIN = timedelta(seconds=60)
_CANNOT_BE_STORED = "The prediction succeeded, but its output cannot be stored"


@dataclass(frozen=True)
class PollStep:
    """Asks the vendor how running attempts are doing. An attempt is polled again after `interval` at the soonest."""

    database: Database
    queue: WakeQueue
    predictions: PredictionClient
    budget: VendorBudget
    ending: Ending
    other_hosts: frozenset[str]
    interval: timedelta

    async def run(self) -> None:
        """Poll once every running attempt that is due."""
        due = await self._claim(ahead=timedelta(0))
        if len(due) >= _WORTH_A_LIST:
            # A list costs as much for some as for all: take those along that would be due until the next one.
            due += await self._claim(ahead=_LONGEST_PAUSE)
            due = await self._poll_listed(due)
        calls = asyncio.Semaphore(_MOST_CALLS_AT_ONCE)
        await asyncio.gather(*(self._poll_one(attempt, calls) for attempt in due[:_WORTH_A_LIST]))

    async def _claim(self, *, ahead: timedelta) -> list[Attempt]:
        async with self.database.transaction() as tx:
            return await claims.claim_polls(
                tx, _MOST_AT_ONCE, shortest=self.interval, longest=_LONGEST_PAUSE, ahead=ahead
            )

    async def _poll_listed(self, due: Sequence[Attempt]) -> list[Attempt]:
        """Take in what the vendor's list says of these attempts. Those that it does not list are returned."""
        left = {attempt.prediction_id: attempt for attempt in due}
        oldest = min(attempt.started_at or now() for attempt in due) - _CLOCK_MARGIN
        seen: list[tuple[Attempt, Prediction]] = []
        if await self.budget.denial() or await self.budget.wait_before_read():
            return []
        try:
            async for prediction in self._listed(oldest):
                if attempt := left.pop(prediction.id, None):
                    seen.append((attempt, prediction))
                if len(seen) >= _MOST_WRITTEN_AT_ONCE:
                    await self._observe(seen)
                    seen = []
                if not left:
                    break
        except PredictionError as error:
            # A page that cannot be read must not hide the others: some are polled singly, the rest when due again.
            logger.warning("list_failed", extra={"reason": error.text})
            await self._note_throttling(error)
            if isinstance(error, PredictionDeniedError):
                await self.budget.denied(error.text)
        await self._observe(seen)
        return list(left.values())

    async def _listed(self, oldest: datetime) -> AsyncGenerator[Prediction]:
        """The account's predictions, newest first, as far back as the budget of calls reaches."""
        listed = 0
        async for prediction in self.predictions.recent(oldest):
            yield prediction
            listed += 1
            # Each page is a call of its own.
            if listed % _PAGE_SIZE == 0 and (listed >= _MOST_LISTED or await self.budget.wait_before_read()):
                return

    async def _poll_one(self, attempt: Attempt, calls: asyncio.Semaphore) -> None:
        async with calls:
            # Without a call in the budget it is polled when it is due again.
            if not await self.budget.wait_before_read():
                await self._ask(attempt)

    async def _ask(self, attempt: Attempt) -> None:
        assert attempt.prediction_id is not None  # noqa: S101 - what `claim_polls` selects
        try:
            prediction = await self.predictions.get(attempt.prediction_id)
        except PredictionMissingError:
            await self._fail(attempt, "The vendor does not know the prediction any more")
        except PredictionError as error:
            # It is polled again when it is due again.
            await self._note_throttling(error)
            logger.warning("poll_failed", extra={"generation_id": str(attempt.generation_id), "reason": error.text})
        else:
            await self._observe([(attempt, prediction)])

    async def _fail(self, attempt: Attempt, reason: str) -> None:
        try:
            await self.ending.fail(attempt, reason)
        except AppError as error:
            # Its organization is locked, or Postgres is away. It is polled again when it is due again.
            logger.warning("end_failed", extra={"generation_id": str(attempt.generation_id), "reason": error.text})

    async def _note_throttling(self, error: PredictionError) -> None:
        if isinstance(error, PredictionThrottledError):
            await self.budget.throttled_reads(error.wait_seconds)

    async def _observe(self, seen: Sequence[tuple[Attempt, Prediction]]) -> None:
        """Take in what the vendor says of predictions. A status that is not known is waited out."""
        outcomes: list[Outcome] = []
        for attempt, prediction in seen:
            if not prediction.is_terminal:
                continue
            reason = _failure(prediction)
            outcome = None if reason else _outcome(attempt, prediction, self.other_hosts)
            if outcome is not None:
                outcomes.append(outcome)
            else:
                await self._fail(attempt, reason or _CANNOT_BE_STORED)
        if outcomes:
            async with self.database.transaction() as tx:
                if await progress.set_outcomes(tx, outcomes):
                    self.queue.wake(tx, WakeKind.COPY)


def _failure(prediction: Prediction) -> str | None:
    """Why a finished prediction has no output; None if it has one."""
    if prediction.status != "succeeded":
        return prediction.error or f"The prediction was {prediction.status}"
    if is_empty(prediction.output):
        reason = "has removed the output already" if prediction.data_removed else "returned no output"
        return f"The prediction succeeded, but the vendor {reason}"
    return None


def _outcome(attempt: Attempt, prediction: Prediction, other_hosts: frozenset[str]) -> Outcome | None:
    """The outcome of an attempt; None if it is JSON that cannot be stored, such as half a surrogate pair."""
    predict_time = None if prediction.predict_time is None else str(prediction.predict_time)
    try:
        text = storable_json({"output": prediction.output, "predict_time": predict_time})
    except (orjson.JSONEncodeError, RecursionError):
        return None
    return Outcome(attempt, text, first_url(prediction.output, other_hosts))
