import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal

from app.agents.runtime.model_call_body import prompt_tokens_bound
from app.catalog.errors import ModelNotPricedError
from app.catalog.service import PricedModel
from app.chat.turns.call import TurnCall, within
from app.chat_models.protocol import JsonObject, Usage
from app.core.database import Database, Transaction
from app.credits import service as credits
from app.credits.counting import count_added
from app.credits.errors import InsufficientCreditsError, MaxCreditsReachedError
from app.credits.metering import MeteredUse
from app.credits.models import EventKind


class TurnMeter:
    """Meters a turn's model calls. Each call after the first is opened in Postgres, with what the earlier ones used.

    So what a crash can lose is what was used since a call was opened last.

    If the request has a limit, it is the `Budget` of the turn's generations, too.

    Attributes:
        held: credits that the turn holds, at least.
        most: credits that its hold may have at most, and be charged; None if the request has no limit.
        was_opened: whether a model may have been called.
    """

    def __init__(
        self,
        database: Database,
        *,
        organization_id: str,
        reference: str,
        models: Mapping[str, PricedModel],
        image_tokens: int,
        most: Decimal | None = None,
    ) -> None:
        self._database = database
        self._organization_id = organization_id
        self._reference = reference
        self._models = models
        self._image_tokens = image_tokens
        self._calls: list[TurnCall] = []
        self._expected: TurnCall | None = None
        # Calls are opened one after the other, so that concurrent ones neither rely on the same credits nor need more
        # than one connection.
        self._opening = asyncio.Lock()
        self.held = Decimal(0)
        self.most = most
        self.was_opened = False

    @property
    def was_used(self) -> bool:
        """Whether a call has ended that was not free."""
        return any(call.was_used for call in self._calls)

    @property
    def usage(self) -> Usage:
        """Tokens of the calls that have ended."""
        return sum((call.usage for call in self._calls), Usage(0, 0))

    @property
    def uses(self) -> list[MeteredUse]:
        """What each call has used, once all of them have ended."""
        return [call.use for call in self._calls]

    @property
    def uses_so_far(self) -> list[MeteredUse]:
        """What each call has used by now, if all of them were cut short at this moment."""
        return [call.use_so_far for call in self._calls]

    def expect_call(self, agent: str, model: str, body: JsonObject) -> None:
        """Open the turn's first call. It is opened by the hold, which must cover `held`."""
        self._expected = self._add_call(agent, model, body)
        self.held += self._expected.ceiling

    async def open_call(self, agent: str, model: str, body: JsonObject) -> TurnCall:
        """See `Meter.open_call`."""
        async with self._opening:
            call, self._expected = self._expected, None
            if call is None:
                call = self._add_call(agent, model, body)
                await self._open(call, model)
        self.was_opened = True
        call.begin()
        return call

    @asynccontextmanager
    async def spending(self) -> AsyncIterator[None]:
        """See `Budget.spending`. No model call is opened meanwhile."""
        async with self._opening:
            held, most = self.held, self.most
            try:
                yield
            except BaseException:  # raised again
                self.held, self.most = held, most
                raise

    async def take(self, tx: Transaction, amount: Decimal) -> None:
        """See `Budget.take`. What was held for calls that have ended, and not used, is released if necessary."""
        if self.most is None:
            return
        if self.most - amount < self._needed():
            raise MaxCreditsReachedError
        self.held = await credits.share(
            tx,
            organization_id=self._organization_id,
            reference=self._reference,
            amount=amount,
            needed=self._needed(),
        )
        self.most -= amount

    async def adopt(self, _: Transaction, __: str, ___: str) -> None:
        """See `Budget.adopt`. The hold of the earlier run has taken it: what that left is the most of this one."""

    async def _open(self, call: TurnCall, model: str) -> None:
        missing = max(Decimal(0), self._needed() - self.held)
        unrecorded = [each for each in self._calls if each.has_ended and not each.is_recorded]
        try:
            async with self._database.transaction() as tx:
                await credits.open_call(
                    tx,
                    organization_id=self._organization_id,
                    reference=self._reference,
                    amount=missing,
                    uses=[each.use for each in unrecorded],
                )
        except InsufficientCreditsError:
            self._calls.remove(call)
            raise
        except BaseException:  # raised again
            # It may have been opened. Then it was free, because it is not made.
            call.settle(None, 0, is_final=False)
            raise
        self.held += missing
        count_added(EventKind.MODEL_CALL, model, missing)
        for each in unrecorded:
            each.is_recorded = True

    def _needed(self) -> Decimal:
        """What the calls that have ended cost, and the others can cost."""
        return sum((call.use.cost if call.has_ended else call.ceiling for call in self._calls), Decimal(0))

    def _add_call(self, agent: str, model: str, body: JsonObject) -> TurnCall:
        priced = self._priced(model)
        image_tokens = self._image_tokens if priced.image_tokens is None else priced.image_tokens
        prompt_tokens = prompt_tokens_bound(body, image_tokens, priced.file_tokens or 0)
        call_id = f"{self._reference}:{len(self._calls) + 1}"
        if self.most is not None:
            body = within(self.most - self._needed(), priced, body, prompt_tokens)
        call = TurnCall(call_id, agent, priced, body, prompt_tokens)
        self._calls.append(call)
        return call

    def _priced(self, model: str) -> PricedModel:
        if model not in self._models:
            raise ModelNotPricedError.for_chat(model)
        return self._models[model]
