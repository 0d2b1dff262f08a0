"""From pending to a running prediction, at most one for an attempt."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

from app.core.backoff import backoff
from app.core.clock import now
from app.core.database import Database
from app.generations import claims
from app.generations.attempts import Generation
from app.generations.callbacks import webhook_url
from app.predictions.budget import VendorBudget
from app.predictions.protocol import (
    Prediction,
    PredictionClient,
    PredictionDeniedError,
    PredictionRejectedError,
    PredictionThrottledError,
    PredictionUnavailableError,
    PredictionUncertainError,
)
from worker.steps.accept import Acceptance
from worker.steps.end import Ending

logger = logging.getLogger(__name__)

_SHORTEST_CANCEL_AFTER = 5
_MOST_CLAIMS = 10


@dataclass(frozen=True)
class StartStep:
    """Has the vendor run pending attempts.

    `webhook_base` is the server's public URL if the vendor is to call back, None if the operator set no secret for it.
    """

    database: Database
    predictions: PredictionClient
    budget: VendorBudget
    acceptance: Acceptance
    ending: Ending
    lease: timedelta
    webhook_base: str | None

    async def claim(self, limit: int) -> list[Generation]:
        """Claim generations that are due to be started, `limit` at most; none if no other is due."""
        # Other workers may take what was due in between. Then others may be due, but not for ever.
        for _ in range(_MOST_CLAIMS):
            async with self.database.transaction() as tx:
                claimed = await claims.claim_starts(tx, limit, self.lease)
            if claimed.generations or claimed.is_final:
                return claimed.generations
        return []

    async def run(self, generation: Generation) -> None:
        """Have the vendor run a claimed attempt. What the vendor certainly did not accept becomes pending again."""
        if wait := await self._wait_for_vendor():
            await self._postpone(generation, wait)
            return
        try:
            prediction = await self._create(generation)
        except (PredictionUncertainError, TimeoutError):
            # It may run: the adoption step looks for it when the lease has ended.
            logger.warning("prediction_uncertain", extra={"content_id": str(generation.id)})
        except PredictionRejectedError as error:
            await self.ending.fail(generation, error.text)
        except (PredictionThrottledError, PredictionDeniedError, PredictionUnavailableError) as error:
            await self._put_off(generation, error)
        else:
            await self.acceptance.accept(generation, prediction)

    async def _create(self, generation: Generation) -> Prediction:
        # The lease must outlast the call, so that nobody looks for the prediction while it is being made.
        async with asyncio.timeout(self.lease.total_seconds() / 2):
            return await self.predictions.create(
                model=generation.model,
                input=generation.input,
                webhook=webhook_url(self.webhook_base, generation) if self.webhook_base else None,
                cancel_after=_seconds_left(generation),
            )

    async def _wait_for_vendor(self) -> timedelta:
        """How long the budget of calls, or the vendor's refusal of our account, allows no start; 0 if it does."""
        denial = await self.budget.denial()
        return denial[1] if denial else await self.budget.wait_before_create()

    async def _put_off(
        self,
        generation: Generation,
        error: PredictionThrottledError | PredictionDeniedError | PredictionUnavailableError,
    ) -> None:
        if isinstance(error, PredictionThrottledError):
            await self.budget.throttled(error.wait_seconds)
            await self._postpone(generation, timedelta(seconds=error.wait_seconds))
            return
        if isinstance(error, PredictionDeniedError):
            await self.budget.denied(error.text)
        await self._postpone(generation, backoff(generation.setbacks, first=1, longest=30), is_setback=True)

    async def _postpone(self, generation: Generation, wait: timedelta, *, is_setback: bool = False) -> None:
        async with self.database.transaction() as tx:
            await claims.postpone(tx, generation, wait, is_setback=is_setback)


def _seconds_left(generation: Generation) -> int:
    return max(_SHORTEST_CANCEL_AFTER, int((generation.deadline_at - now()).total_seconds()))
