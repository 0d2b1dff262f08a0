"""Create calls that never came back: the vendor's list tells whether a prediction runs for them, and which."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.clock import now
from app.core.database import Database
from app.generations import claims, progress
from app.generations.attempts import ClaimedAttempt
from app.generations.callbacks import is_webhook_of
from app.predictions.budget import VendorBudget
from app.predictions.protocol import Prediction, PredictionClient, PredictionError
from worker.steps.accept import Acceptance

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 500
_GRACE = timedelta(seconds=1)
# The vendor's clock and ours may differ.
_CLOCK_MARGIN = timedelta(seconds=60)


@dataclass(frozen=True)
class AdoptStep:
    """Finds the predictions of attempts whose create call never came back."""

    database: Database
    predictions: PredictionClient
    budget: VendorBudget
    acceptance: Acceptance
    lease: timedelta

    async def run(self) -> None:
        """Look for the predictions of all such attempts, in one walk through the vendor's list.

        The one prediction whose webhook names the attempt is the attempt's, or else the one without a webhook that has
        its model and input. If there is none, nothing runs, and the attempt is started again. If there are several,
        nobody can tell which it is: the attempt waits for its deadline, by which the vendor has cancelled them.
        """
        async with self.database.transaction() as tx:
            orphans = await claims.claim_orphans(tx, _MOST_AT_ONCE, _GRACE, self.lease)
        # Without a call in the budget, they are looked for again when this lease has ended.
        if not orphans or await self.budget.wait_before_read():
            return
        try:
            candidates = await self._find_candidates(orphans)
        except PredictionError as error:
            # They are looked for again when this lease has ended.
            logger.warning("adoption_failed", extra={"orphans": len(orphans), "reason": error.text})
            return
        for orphan, predictions in zip(orphans, candidates, strict=True):
            await self._adopt(orphan, predictions)

    async def _find_candidates(self, orphans: Sequence[ClaimedAttempt]) -> list[list[Prediction]]:
        """For each orphan the predictions that may be its own."""
        candidates: list[list[Prediction]] = [[] for _ in orphans]
        oldest = min(_earliest_start(orphan) for orphan in orphans)
        async for prediction in self.predictions.recent(oldest):
            for orphan, found in zip(orphans, candidates, strict=True):
                if _fits(prediction, orphan):
                    found.append(prediction)
        return candidates

    async def _adopt(self, orphan: ClaimedAttempt, candidates: Sequence[Prediction]) -> None:
        # A prediction whose webhook names the attempt is its own; the others only look like it.
        named = [prediction for prediction in candidates if prediction.webhook is not None] or candidates
        found = [prediction for prediction in named if not await self._is_known(prediction.id)]
        if len(found) == 1:
            await self.acceptance.accept(orphan, found[0])
        elif not found:
            async with self.database.transaction() as tx:
                await claims.postpone(tx, orphan, timedelta(0), is_failure=False)

    async def _is_known(self, prediction_id: str) -> bool:
        async with self.database.transaction() as tx:
            return await progress.is_prediction_known(tx, prediction_id)


def _fits(prediction: Prediction, orphan: ClaimedAttempt) -> bool:
    # A webhook is recognized by its end: the server's address may have changed since the attempt was started.
    if prediction.webhook is not None:
        return is_webhook_of(prediction.webhook, orphan)
    if prediction.created_at < _earliest_start(orphan):
        return False
    name, _, version = orphan.model.partition(":")
    is_model = name in {prediction.model, prediction.version} and version in {"", prediction.version}
    return is_model and dict(prediction.input) == dict(orphan.input)


def _earliest_start(orphan: ClaimedAttempt) -> datetime:
    """The earliest moment that the vendor may give as the beginning of the attempt's prediction."""
    return (orphan.started_at or now()) - _CLOCK_MARGIN
