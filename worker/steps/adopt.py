"""Create calls that never returned: the vendor's list shows whether predictions run for them, and which."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from app.core.database import Database
from app.generations import adoption, claims, create_calls
from app.generations.adoption import Decision, Found
from app.generations.attempts import ClaimedAttempt
from app.generations.callbacks import name_of, named_attempt
from app.generations.create_calls import LostCall, Surplus
from app.input_files.file_names import is_sent_as
from app.predictions.budget import VendorBudget
from app.predictions.protocol import Prediction, PredictionClient, PredictionError, is_run_of
from worker.steps.accept import Acceptance
from worker.steps.cancel import CancelStep

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 500
# How long after its end a lease is taken for lapsed.
GRACE = timedelta(seconds=1)


@dataclass
class _Search:
    """What is looked for in one walk through the vendor's list, and what is left of it."""

    orphans: list[ClaimedAttempt]
    calls: list[LostCall]
    # Oldest first, without those that belong to an attempt.
    found: list[Found] = field(default_factory=list)
    surplus: list[Surplus] = field(default_factory=list)

    def calls_of(self, orphan: ClaimedAttempt) -> list[LostCall]:
        return [call for call in self.calls if (call.generation_id, call.attempt) == orphan.key[:2]]


@dataclass(frozen=True)
class AdoptStep:
    """Finds the predictions of create calls whose responses were lost."""

    database: Database
    predictions: PredictionClient
    budget: VendorBudget
    acceptance: Acceptance
    cancels: CancelStep
    lease: timedelta

    async def run(self) -> None:
        """Look for the predictions of all lost calls that are due, in one walk through the vendor's list.

        An attempt that waits adopts the prediction whose webhook names it, or else one without a webhook that fits one
        of its lost calls. Predictions that fit several calls equally are given to them in order. If none fits, the
        attempt is started again. What fits a lost call of which no attempt waits for a prediction is cancelled.
        """
        search = await self._claim()
        for orphan in [orphan for orphan in search.orphans if not search.calls_of(orphan)]:
            # Its calls were certainly refused, or never sent.
            search.orphans.remove(orphan)
            await self._start_again(orphan)
        # If the budget allows no call, they are looked for again when this lease has ended.
        if not search.calls or await self.budget.wait_before_read():
            return
        try:
            found = await self._list(search)
        except PredictionError as error:
            # They are looked for again when this lease has ended.
            logger.warning("adoption_failed", extra={"orphans": len(search.orphans), "reason": error.text})
            return
        async with self.database.transaction() as tx:
            search.found = await adoption.find_unknown(tx, found)
        for orphan in search.orphans:
            if not await self._adopt(search, orphan):
                await self._start_again(orphan)
        for call in search.calls:
            await self._cancel_surplus_of(search, call)
        for named in [prediction for prediction in search.found if prediction.named]:
            async with self.database.transaction() as tx:
                search.surplus += await adoption.claim_named_surplus(tx, named, self.lease)
        await self.cancels.cancel(search.surplus)

    async def _claim(self) -> _Search:
        async with self.database.transaction() as tx:
            await create_calls.lose_silent(tx, older_than=self.lease + GRACE, look_after=self.lease)
            orphans = await claims.claim_orphans(tx, _MOST_AT_ONCE, GRACE, self.lease)
            waiting = [orphan for orphan in orphans if orphan.found_prediction_id is None]
            calls = await create_calls.claim_lost(tx, waiting, _MOST_AT_ONCE, self.lease)
        for orphan in orphans:
            if orphan.found_prediction_id is not None:
                # The response to one of its calls came after all.
                await self.acceptance.accept(orphan, orphan.found_prediction_id)
        order = {(call.generation_id, call.attempt): index for index, call in reversed(list(enumerate(calls)))}
        return _Search(sorted(waiting, key=lambda orphan: order.get(orphan.key[:2], len(calls))), calls)

    async def _list(self, search: _Search) -> list[Found]:
        """The listed predictions that name an attempt, or that fit one of the calls."""
        oldest = min(call.sent_at for call in search.calls) - adoption.CLOCK_MARGIN
        found: list[Found] = []
        async for prediction in self.predictions.recent(oldest):
            listed = _found(prediction, search.calls)
            if listed.named or listed.fits:
                found.append(listed)
        return found

    async def _adopt(self, search: _Search, orphan: ClaimedAttempt) -> bool:
        """Give the orphan a prediction. False if none of those that were found can be its own, now or later."""
        is_undecided = False
        for found, call in _candidates(search, orphan):
            async with self.database.transaction() as tx:
                decision = await adoption.adopt(tx, orphan, call, found, self.acceptance.first_poll)
            if decision is Decision.OPEN:
                is_undecided = True
                continue
            search.found.remove(found)
            if decision is not Decision.KNOWN:
                return True
        return is_undecided

    async def _start_again(self, orphan: ClaimedAttempt) -> None:
        async with self.database.transaction() as tx:
            await claims.postpone(tx, orphan, timedelta(0), is_failure=False)

    async def _cancel_surplus_of(self, search: _Search, call: LostCall) -> None:
        """Find a prediction that the call has made and that nobody waits for."""
        for found in [each for each in search.found if _may_be_of(each, call)]:
            async with self.database.transaction() as tx:
                decision = await adoption.claim_surplus(tx, call, found, self.lease)
            if decision is Decision.TAKEN:
                search.found.remove(found)
                search.surplus.append(Surplus(call.id, found.id))
            if decision in {Decision.TAKEN, Decision.LOST}:
                return


def _candidates(search: _Search, orphan: ClaimedAttempt) -> list[tuple[Found, LostCall | None]]:
    """The predictions that may be the orphan's, the best first, each with the call that made it if that is known."""
    name = name_of(orphan)
    named: list[tuple[Found, LostCall | None]] = [(found, None) for found in search.found if found.named == name]
    calls = search.calls_of(orphan)
    return named + [
        (found, call) for found in search.found if (call := next((c for c in calls if _may_be_of(found, c)), None))
    ]


def _may_be_of(found: Found, call: LostCall) -> bool:
    """Whether a prediction without a webhook may have been made by the call."""
    return call.id in found.fits and adoption.is_in_window(call, found.created_at)


def _found(prediction: Prediction, calls: Sequence[LostCall]) -> Found:
    # Without input and output: there may be many.
    named = named_attempt(prediction.webhook) if prediction.webhook else None
    fits = () if prediction.webhook else (call.id for call in calls if _fits(prediction, call))
    return Found(
        prediction.id, prediction.model, prediction.version, prediction.created_at, named, fits=frozenset(fits)
    )


def _fits(prediction: Prediction, call: LostCall) -> bool:
    return is_run_of(call.model, prediction.model, prediction.version) and is_sent_as(call.input, prediction.input)
