"""From pending to a running prediction, at most one for an attempt."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from app.core.backoff import backoff
from app.core.database import Database
from app.core.span_names import Attribute
from app.core.tracing import span_var
from app.core.watch import Watch
from app.generations import attempt_history, claims, create_calls
from app.generations.attempts import ClaimedAttempt
from app.generations.callbacks import webhook_url
from app.generations.claims import Claimed
from app.input_files.delivery import InputDelivery
from app.predictions.budget import VendorBudget
from app.predictions.protocol import (
    Prediction,
    PredictionClient,
    PredictionDeniedError,
    PredictionMissingError,
    PredictionRejectedError,
    PredictionThrottledError,
    PredictionUnavailableError,
    PredictionUncertainError,
)
from worker.steps.accept import Acceptance
from worker.steps.counting import Reason, count_failed
from worker.steps.end import Ending
from worker.steps.mismatch import refuse_run

logger = logging.getLogger(__name__)

_SHORTEST_CANCEL_AFTER = 5
_MOST_CLAIMS = 10
_LONGEST_WAIT = timedelta(seconds=1)
# How recently the store must have accepted a write. It is more than the time between two probes.
_STORE_SECONDS = 45.0


@dataclass(frozen=True)
class StartStep:
    """Creates predictions for pending attempts, as long as the store accepts what they are going to make.

    `webhook_base` is the server's public URL; None if the operator has set no secret, and so wants no webhooks.
    """

    database: Database
    predictions: PredictionClient
    budget: VendorBudget
    objects: Watch
    acceptance: Acceptance
    ending: Ending
    lease: timedelta
    webhook_base: str | None
    inputs: InputDelivery

    async def claim(self, limit: int) -> Claimed[ClaimedAttempt]:
        """Claim generations that are due to be started, `limit` at most; none if no more are due."""
        # Other workers may claim the rows that were found due; then look for others, a limited number of times.
        for _ in range(_MOST_CLAIMS):
            async with self.database.transaction() as tx:
                claimed = await claims.claim_starts(tx, limit, self.lease)
            if claimed.rows or claimed.is_final:
                return claimed
        return Claimed([], is_final=True)

    async def run(self, attempt: ClaimedAttempt) -> None:
        """Create the prediction of a claimed attempt. If the vendor certainly refused it, it becomes pending again.

        If an earlier create call has made one, of which the response came late, the attempt takes that one.
        """
        if attempt.found_prediction_id is not None:
            await self.acceptance.accept(attempt, attempt.found_prediction_id)
            return
        try:
            may_call = await self._may_call(attempt)
        except asyncio.CancelledError:
            # The worker is shutting down, and nothing was started: another one may do so at once.
            await self._postpone(attempt, timedelta(0))
            raise
        if not may_call:
            return
        if monotonic() > attempt.claimed_at + self.lease.total_seconds() / 2:
            # This process slept. Others may have found meanwhile that nothing runs, and started it.
            logger.warning("start_left", extra={"generation_id": str(attempt.generation_id)})
            await self._note_refusal(attempt)
            return
        await self._call(attempt)

    async def _may_call(self, attempt: ClaimedAttempt) -> bool:
        """Whether the vendor may be called now. If the store or the vendor does not permit it, the start is put off."""
        found = await self.objects.find(within=_STORE_SECONDS, patience=self.lease.total_seconds() / 8)
        if not found.is_ok:
            logger.info("start_waits", extra={"generation_id": str(attempt.generation_id), "reason": found.reason})
            await self._postpone(attempt, backoff(attempt.failures, first=1, longest=30), is_failure=True)
            return False
        if wait := await self._await_vendor(attempt):
            await self._postpone(attempt, wait)
            return False
        return True

    async def _call(self, attempt: ClaimedAttempt) -> None:
        """Send the create call, and write down what became of it."""
        try:
            prediction = await self._create(attempt)
        except (PredictionUncertainError, TimeoutError):
            # The prediction may exist: the adoption step looks for it when the lease has ended.
            logger.warning("prediction_uncertain", extra={"generation_id": str(attempt.generation_id)})
            async with self.database.transaction() as tx:
                await create_calls.lose(tx, attempt, look_after=self.lease)
        except PredictionRejectedError as error:
            await self._note_refusal(attempt)
            count_failed(Reason.REJECTED, has_failed=await self.ending.fail(attempt, error.text))
        except PredictionMissingError as error:
            await self._miss(attempt, error)
        except (PredictionThrottledError, PredictionDeniedError, PredictionUnavailableError) as error:
            await self._put_off(attempt, error)
        else:
            if not prediction.runs(attempt.model):
                reason = await refuse_run(self.predictions, attempt.generation_id, attempt.model, prediction)
                has_failed = await self.ending.fail_made(attempt, prediction.id, reason)
                count_failed(Reason.OTHER_MODEL, has_failed=has_failed)
                return
            if (span := span_var.get()) is not None:
                span.set({Attribute.PREDICTION: prediction.id})
            await self.acceptance.accept(attempt, prediction.id)

    async def _miss(self, attempt: ClaimedAttempt, error: PredictionMissingError) -> None:
        """The vendor does not know the model. If it has said so for a while, fail the attempt."""
        async with self.database.transaction() as tx:
            missing = await attempt_history.note_missing(tx, attempt)
        if not missing.is_believed:
            await self._postpone(attempt, backoff(attempt.failures, first=1, longest=30), is_failure=True)
            return
        await self._note_refusal(attempt)
        count_failed(Reason.MODEL_MISSING, has_failed=await self.ending.fail(attempt, error.text))

    async def _create(self, attempt: ClaimedAttempt) -> Prediction:
        # The lease must outlast the call, so that nobody looks for the prediction while it is being created.
        async with asyncio.timeout(self.lease.total_seconds() / 2):
            return await self.predictions.create(
                model=attempt.model,
                input=await self.inputs.deliver(attempt.organization_id, attempt.input),
                webhook=webhook_url(self.webhook_base, attempt) if self.webhook_base else None,
                cancel_after=max(_SHORTEST_CANCEL_AFTER, int(attempt.seconds_left())),
            )

    async def _await_vendor(self, attempt: ClaimedAttempt) -> timedelta:
        """Wait a moment for a call from the budget, so that short waits cost no claim each.

        Returns:
            How long the budget, or the vendor's refusal of our account, still allows no start; 0 if it does.
        """
        give_up_at = attempt.claimed_at + self.lease.total_seconds() / 4
        while not (denial := await self.budget.denial()):
            wait = await self.budget.wait_before_create()
            if not wait or wait > _LONGEST_WAIT or monotonic() > give_up_at:
                return wait
            await asyncio.sleep(wait.total_seconds())
        return denial[1]

    async def _put_off(
        self,
        attempt: ClaimedAttempt,
        error: PredictionThrottledError | PredictionDeniedError | PredictionUnavailableError,
    ) -> None:
        if isinstance(error, PredictionThrottledError):
            await self.budget.throttled(error.wait_seconds)
            await self._postpone(attempt, timedelta(seconds=error.wait_seconds))
            return
        if isinstance(error, PredictionDeniedError):
            await self.budget.denied(error.text)
        else:
            details = {"generation_id": str(attempt.generation_id), "reason": error.text}
            logger.warning("vendor_unavailable", extra=details)
        await self._postpone(attempt, backoff(attempt.failures, first=1, longest=30), is_failure=True)

    async def _postpone(self, attempt: ClaimedAttempt, wait: timedelta, *, is_failure: bool = False) -> None:
        async with self.database.transaction() as tx:
            if not await claims.postpone(tx, attempt, wait, is_failure=is_failure):
                logger.warning("start_lost", extra={"generation_id": str(attempt.generation_id)})
            await create_calls.refuse(tx, attempt)

    async def _note_refusal(self, attempt: ClaimedAttempt) -> None:
        async with self.database.transaction() as tx:
            await create_calls.refuse(tx, attempt)
