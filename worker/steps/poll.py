"""From a running prediction to its outcome, by polling the vendor; no job waits for it."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.database import Database
from app.core.errors import AppError
from app.core.json import UnstorableJsonError, storable_json
from app.core.span_names import Attribute, SpanName
from app.core.tracing import Tracer
from app.generations import attempt_history, claims
from app.generations.attempts import Attempt, Outcome, RunningAttempt
from app.predictions.budget import VendorBudget
from app.predictions.protocol import (
    Prediction,
    PredictionClient,
    PredictionDeniedError,
    PredictionError,
    PredictionMissingError,
    PredictionThrottledError,
)
from worker.steps.counting import Reason, count_failed
from worker.steps.end import Ending
from worker.steps.mismatch import refuse_run
from worker.steps.outcomes import MOST_CHARACTERS_AT_ONCE, Outcomes
from worker.steps.pace import Pace
from worker.steps.traced import belonging, resuming
from worker.transfer.sources import first_url, is_empty

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 10_000
_LONGEST_PAUSE = timedelta(seconds=10)
# From this many on, the vendor's list, a hundred to a page, costs less than a call for each.
_WORTH_A_LIST = 30
_MOST_CALLS_AT_ONCE = 20
_MOST_LISTED = 10_000
_PAGE_SIZE = 100
_MOST_WRITTEN_AT_ONCE = 100
_CLOCK_MARGIN = timedelta(seconds=60)
# Every list of contents shows why an attempt failed, and a vendor's error may be of any length.
_LONGEST_REASON = 10_000


@dataclass(frozen=True)
class PollStep:
    """Polls the vendor for running attempts. An attempt is polled again after `interval` at the earliest."""

    database: Database
    outcomes: Outcomes
    predictions: PredictionClient
    budget: VendorBudget
    ending: Ending
    other_hosts: frozenset[str]
    interval: timedelta
    pace: Pace
    tracer: Tracer | None = None

    async def run(self) -> None:
        """Poll once every running attempt that is due."""
        due = await self._claim(ahead=timedelta(0))
        if due:
            # Those that have run for longer are due again later, and found then by the slower rounds.
            self.pace.expect(self.interval)
        if len(due) >= _WORTH_A_LIST:
            # A list costs the same for some as for all: include those that would be due before the next one.
            due += await self._claim(ahead=_LONGEST_PAUSE)
            due = await self._poll_listed(due)
        calls = asyncio.Semaphore(_MOST_CALLS_AT_ONCE)
        await asyncio.gather(*(self._poll_one(attempt, calls) for attempt in due[:_WORTH_A_LIST]))

    async def _claim(self, *, ahead: timedelta) -> list[RunningAttempt]:
        return await claims.claim_polls(
            self.database, _MOST_AT_ONCE, shortest=self.interval, longest=_LONGEST_PAUSE, ahead=ahead
        )

    async def _poll_listed(self, due: Sequence[RunningAttempt]) -> list[RunningAttempt]:
        """Store what the vendor's list says about these attempts. Those that it does not list are returned."""
        asked_at = time.time_ns()
        left = {attempt.prediction_id: attempt for attempt in due}
        oldest = min(attempt.started_at for attempt in due if attempt.started_at) - _CLOCK_MARGIN
        seen: list[tuple[RunningAttempt, Prediction]] = []
        if await self.budget.denial() or await self.budget.wait_before_read():
            return []
        try:
            async for prediction in self._listed(oldest):
                if attempt := left.pop(prediction.id, None):
                    await self._clear_missing([attempt])
                    seen.append((attempt, prediction))
                if len(seen) >= _MOST_WRITTEN_AT_ONCE:
                    await self._observe(seen, asked_at)
                    seen = []
                if not left:
                    break
        except PredictionError as error:
            # A page that cannot be read must not block the rest: some are polled one by one, the others when due again.
            logger.warning("list_failed", extra={"reason": error.text})
            await self._note_throttling(error)
            if isinstance(error, PredictionDeniedError):
                await self.budget.denied(error.text)
        await self._observe(seen, asked_at)
        return list(left.values())

    async def _listed(self, oldest: datetime) -> AsyncGenerator[Prediction]:
        """The account's predictions, newest first, as far back as the budget of calls allows."""
        listed = 0
        async for prediction in self.predictions.recent(oldest):
            yield prediction
            listed += 1
            # Each page is a call of its own.
            if listed % _PAGE_SIZE == 0 and (listed >= _MOST_LISTED or await self.budget.wait_before_read()):
                return

    async def _poll_one(self, attempt: RunningAttempt, calls: asyncio.Semaphore) -> None:
        async with calls:
            # If the budget allows no call, the attempt is polled when it is due again.
            if not await self.budget.wait_before_read():
                with belonging(attempt):
                    await self._ask(attempt)

    async def _ask(self, attempt: RunningAttempt) -> None:
        assert attempt.prediction_id is not None  # noqa: S101 - what `claim_polls` selects
        asked_at = time.time_ns()
        try:
            prediction = await self.predictions.get(attempt.prediction_id)
        except PredictionMissingError:
            await self._miss(attempt)
        except PredictionError as error:
            # The attempt is polled again when it is due again.
            await self._note_throttling(error)
            logger.warning("poll_failed", extra={"generation_id": str(attempt.generation_id), "reason": error.text})
        else:
            await self._clear_missing([attempt])
            await self._observe_one(attempt, prediction, asked_at)

    async def _miss(self, attempt: RunningAttempt) -> None:
        """The vendor does not know the prediction. If it has said so for a while, cancel it, then fail the attempt."""
        assert attempt.prediction_id is not None  # noqa: S101 - what `claim_polls` selects
        async with self.database.transaction() as tx:
            missing = await attempt_history.note_missing(tx, attempt)
        if not missing.is_believed:
            return
        asked_at = time.time_ns()
        try:
            prediction = await self.predictions.cancel(attempt.prediction_id)
        except PredictionMissingError:
            await self._fail(attempt, "The vendor does not know the prediction any more", Reason.PREDICTION_LOST)
        except PredictionError as error:
            # It may still run. It is polled again when it is due again.
            logger.warning("cancel_failed", extra={"generation_id": str(attempt.generation_id), "reason": error.text})
        else:
            await self._observe_one(attempt, prediction, asked_at)

    async def _clear_missing(self, attempts: Sequence[RunningAttempt]) -> None:
        if missed := [attempt for attempt in attempts if attempt.missing_count]:
            async with self.database.transaction() as tx:
                await attempt_history.clear_missing(tx, missed)

    async def _fail(self, attempt: Attempt, message: str, reason: Reason) -> None:
        try:
            count_failed(reason, has_failed=await self.ending.fail_running(attempt, message))
        except AppError as error:
            # Its organization is locked, or Postgres is away. It is polled again when it is due again.
            logger.warning("end_failed", extra={"generation_id": str(attempt.generation_id), "reason": error.text})

    async def _note_throttling(self, error: PredictionError) -> None:
        if isinstance(error, PredictionThrottledError):
            await self.budget.throttled_reads(error.wait_seconds)

    async def _observe(self, seen: Sequence[tuple[RunningAttempt, Prediction]], asked_at: int) -> None:
        """Store how predictions ended. `asked_at`: when the vendor was asked, in nanoseconds since 1970."""
        outcomes: list[Outcome] = []
        for attempt, prediction in seen:
            with belonging(attempt):
                outcome = await self._outcome_of(attempt, prediction, asked_at)
            if outcome:
                outcomes.append(outcome)
            if sum(len(each.json) for each in outcomes) > MOST_CHARACTERS_AT_ONCE:
                await self.outcomes.store(outcomes)
                outcomes = []
        await self.outcomes.store(outcomes)

    async def _observe_one(self, attempt: RunningAttempt, prediction: Prediction, asked_at: int) -> None:
        """As `_observe`, together with others that are observed at the same time."""
        if outcome := await self._outcome_of(attempt, prediction, asked_at):
            await self.outcomes.add(outcome)

    async def _outcome_of(self, attempt: RunningAttempt, prediction: Prediction, asked_at: int) -> Outcome | None:
        """The outcome of an attempt whose prediction has ended well. A prediction of unknown status still runs.

        Only polls that end something are traced: of a long prediction there are hundreds of others.
        """
        if prediction.runs(attempt.model) and not prediction.is_terminal:
            return None
        with resuming(self.tracer, SpanName.POLL, attempt, began_at=asked_at) as span:
            if span is not None and prediction.is_terminal:
                span.set({Attribute.PREDICTION_STATUS: prediction.status})
            return await self._end_of(attempt, prediction)

    async def _end_of(self, attempt: RunningAttempt, prediction: Prediction) -> Outcome | None:
        if not prediction.runs(attempt.model):
            # The response to its create call was lost: it has come by a webhook or by the list.
            message = await refuse_run(self.predictions, attempt.generation_id, attempt.model, prediction)
            await self._fail(attempt, message, Reason.OTHER_MODEL)
            return None
        return await self._ended(attempt, prediction)

    async def _ended(self, attempt: Attempt, prediction: Prediction) -> Outcome | None:
        """The outcome of an attempt whose prediction has ended. If there is none, the attempt is failed.

        Whatever is wrong with one prediction, the others of its batch are not affected.
        """
        try:
            reason = _failure(prediction)
            if reason is None:
                return _outcome(attempt, prediction, self.other_hosts)
        except UnstorableJsonError as error:
            reason = f"The prediction succeeded, but its output {error}"
        except Exception:  # a bug, which the same output would meet again at the next poll
            logger.exception("outcome_unreadable", extra={"generation_id": str(attempt.generation_id)})
            reason = "The prediction succeeded, but its output cannot be stored"
        await self._fail(attempt, reason, Reason.PREDICTION_FAILED)
        return None


def _failure(prediction: Prediction) -> str | None:
    """Why a finished prediction has no output; None if it has one."""
    if prediction.status != "succeeded":
        return (prediction.error or f"The prediction was {prediction.status}")[:_LONGEST_REASON]
    if is_empty(prediction.output):
        reason = "has removed the output already" if prediction.data_removed else "returned no output"
        return f"The prediction succeeded, but the vendor {reason}"
    return None


def _outcome(attempt: Attempt, prediction: Prediction, other_hosts: frozenset[str]) -> Outcome:
    """The outcome of an attempt.

    Raises:
        UnstorableJsonError: its output cannot be stored, or could not be read again.
    """
    predict_time = None if prediction.predict_time is None else str(prediction.predict_time)
    text = storable_json({"output": prediction.output, "predict_time": predict_time})
    return Outcome(attempt, text, first_url(prediction.output, other_hosts))
