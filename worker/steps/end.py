from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from app.catalog import service as catalog
from app.catalog.pricing import PriceTag, generation_cost
from app.core.database import Database, Transaction
from app.generations import create_calls, endings
from app.generations.attempts import Attempt, ClaimedAttempt, StoredFile
from app.queue.protocol import WakeQueue
from worker.steps.counting import count_completed


@dataclass(frozen=True)
class Ending:
    """Ends attempts, each in one transaction. `prices` caches the prices read so far: a price never changes."""

    database: Database
    queue: WakeQueue
    prices: dict[int, PriceTag] = field(default_factory=dict)

    async def fail(self, attempt: ClaimedAttempt, message: str) -> bool:
        """End a claimed attempt at no cost, with this error message; False if the claim was lost."""
        async with self.database.transaction() as tx:
            return await endings.fail_claimed(tx, self.queue, attempt, message)

    async def fail_made(self, attempt: ClaimedAttempt, prediction_id: str, message: str) -> bool:
        """As `fail`, for an attempt whose create call has made a prediction that it cannot use; it is cancelled."""
        async with self.database.transaction() as tx:
            has_failed = await endings.fail_claimed(tx, self.queue, attempt, message)
            await create_calls.record(tx, attempt.generation_id, attempt.number, prediction_id, claim=attempt.claim)
            await create_calls.order_cancel(tx, prediction_id, after=timedelta(0))
            return has_failed

    async def fail_running(self, attempt: Attempt, message: str) -> bool:
        """As `fail`, after the attempt's prediction has failed; False if it does not run that prediction."""
        async with self.database.transaction() as tx:
            return await endings.fail_running(tx, self.queue, attempt, message)

    async def fail_late(self, attempt: Attempt, message: str, grace: timedelta) -> bool:
        """As `fail`, for an attempt that `find_late` has found; False if it is not late any more."""
        async with self.database.transaction() as tx:
            return await endings.fail_late(tx, self.queue, attempt, message, grace)

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
        async with self.database.transaction() as tx:
            price = await self._price(tx, attempt.price_id)
            cost = generation_cost(price, predict_time=predict_time, outputs=len(files))
            is_completed = await endings.complete(tx, self.queue, attempt, files, cost, predict_time)
        if is_completed:
            count_completed(attempt, cost.amount)
        return is_completed

    async def _price(self, tx: Transaction, price_id: int) -> PriceTag:
        if price_id not in self.prices:
            self.prices[price_id] = await catalog.get_price(tx, price_id)
        return self.prices[price_id]
