import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.core.database import Database
from app.core.errors import AppError
from app.generations import create_calls
from app.generations.create_calls import Surplus
from app.predictions.protocol import PredictionClient, PredictionError, PredictionMissingError

logger = logging.getLogger(__name__)

_BATCH = 200
_MOST_AT_ONCE = 20
_ROUND_SECONDS = 5


@dataclass(frozen=True)
class CancelStep:
    """Has the vendor cancel predictions that nobody waits for, so that they do not go on costing.

    The order to cancel one is a row, written in the transaction that found it to be surplus: a crash does not lose it.
    An order that is not carried out is due again after `lease`.
    """

    database: Database
    predictions: PredictionClient
    lease: timedelta

    async def run(self) -> None:
        """Cancel those that are due."""
        async with self.database.transaction() as tx:
            due = await create_calls.claim_cancels(tx, _BATCH, self.lease)
        await self.cancel(due)

    async def cancel(self, surplus: Sequence[Surplus]) -> None:
        """Cancel these. If the vendor does not respond in time, they are due again, until its own limit ends them."""
        calls = asyncio.Semaphore(_MOST_AT_ONCE)
        try:
            async with asyncio.timeout(_ROUND_SECONDS):
                await asyncio.gather(*(self._cancel_one(each, calls) for each in surplus))
        except TimeoutError:
            logger.warning("cancels_unconfirmed", extra={"predictions": len(surplus)})

    async def _cancel_one(self, surplus: Surplus, calls: asyncio.Semaphore) -> None:
        async with calls:
            try:
                await self.predictions.cancel(surplus.prediction_id)
                async with self.database.transaction() as tx:
                    await create_calls.end_cancel(tx, surplus.call_id)
            except PredictionMissingError:
                # The vendor may know it later. It is tried again, until the vendor's own limit has ended it.
                logger.info("prediction_missing", extra={"prediction_id": surplus.prediction_id})
            except (PredictionError, AppError) as error:
                logger.warning("cancel_failed", extra={"prediction_id": surplus.prediction_id, "reason": error.text})
