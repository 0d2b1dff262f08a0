from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from app.catalog import service as catalog
from app.catalog.pricing import PriceTag, generation_cost
from app.core.database import Database
from app.core.group_commit import GroupCommit
from app.core.span_names import Attribute, SpanName
from app.core.tracing import spanning
from app.generations import completed_together, create_calls, endings
from app.generations.attempts import Attempt, ClaimedAttempt, StoredFile
from app.generations.completed_together import Completion
from app.generations.telling import Announce
from app.queue.protocol import WakeQueue
from worker.steps.counting import count_completed

# All completions of an organization wait for the same two locks, so two transactions at a time would win nothing.
_PATIENCE_SECONDS = 0.05


class Ending:
    """Ends attempts. Those of an organization that are completed at the same time share one transaction."""

    def __init__(self, database: Database, queue: WakeQueue, announce: Announce) -> None:
        self.database = database
        self.queue = queue
        self.announce = announce
        # Those that were read so far: a price never changes.
        self._prices: dict[int, PriceTag] = {}
        self._completing: GroupCommit[str, Completion, bool] = GroupCommit(
            self._complete_all, self._complete_one, patience_seconds=_PATIENCE_SECONDS
        )

    async def fail(self, attempt: ClaimedAttempt, message: str) -> bool:
        """End a claimed attempt at no cost, with this error message; False if the claim was lost."""
        with spanning(SpanName.FAIL):
            async with self.database.transaction() as tx:
                return await endings.fail_claimed(tx, self.queue, self.announce, attempt, message)

    async def fail_made(self, attempt: ClaimedAttempt, prediction_id: str, message: str) -> bool:
        """As `fail`, for an attempt whose create call has made a prediction that it cannot use; it is cancelled."""
        with spanning(SpanName.FAIL):
            async with self.database.transaction() as tx:
                has_failed = await endings.fail_claimed(tx, self.queue, self.announce, attempt, message)
                await create_calls.record(tx, attempt.generation_id, attempt.number, prediction_id, claim=attempt.claim)
                await create_calls.order_cancel(tx, prediction_id, after=timedelta(0))
                return has_failed

    async def fail_running(self, attempt: Attempt, message: str) -> bool:
        """As `fail`, after the attempt's prediction has failed; False if it does not run that prediction."""
        with spanning(SpanName.FAIL):
            async with self.database.transaction() as tx:
                return await endings.fail_running(tx, self.queue, self.announce, attempt, message)

    async def fail_late(self, attempt: Attempt, message: str, grace: timedelta) -> bool:
        """As `fail`, for an attempt that `find_late` has found; False if it is not late any more."""
        async with self.database.transaction() as tx:
            return await endings.fail_late(tx, self.queue, self.announce, attempt, message, grace)

    async def complete(
        self, attempt: ClaimedAttempt, files: Sequence[StoredFile], *, predict_time: Decimal | None
    ) -> bool:
        """Complete the attempt and charge it at the price it was accepted at.

        Args:
            attempt: the attempt.
            files: its outputs, as they were read back from the store.
            predict_time: seconds of computing; None if the vendor did not say.

        Returns:
            False if the claim was lost, or one of the files does not belong to the attempt.
        """
        price = await self._price(attempt.price_id)
        cost = generation_cost(price, predict_time=predict_time, outputs=len(files))
        wanted = Completion(attempt, files, cost, predict_time)
        with spanning(SpanName.COMPLETE, {Attribute.OUTPUTS: len(files)}):
            is_completed = await self._completing.submit(attempt.organization_id, wanted)
        if is_completed:
            count_completed(attempt, cost.amount)
        return is_completed

    async def _complete_all(self, organization_id: str, completions: Sequence[Completion]) -> list[bool]:
        async with self.database.transaction() as tx:
            return await completed_together.complete(tx, self.queue, self.announce, organization_id, completions)

    async def _complete_one(self, organization_id: str, one: Completion) -> bool:
        return (await self._complete_all(organization_id, [one]))[0]

    async def _price(self, price_id: int) -> PriceTag:
        if price_id not in self._prices:
            async with self.database.transaction() as tx:
                self._prices[price_id] = await catalog.get_price(tx, price_id)
        return self._prices[price_id]
