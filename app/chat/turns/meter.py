import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from app.agents.runtime.requests import output_tokens_bound, prompt_tokens_bound
from app.catalog.errors import ModelNotPricedError
from app.catalog.pricing import Cost, chat_ceiling, chat_cost
from app.catalog.service import PricedModel
from app.chat_models.protocol import JsonObject, Usage
from app.core.database import Database
from app.credits import service as credits

logger = logging.getLogger(__name__)

# Where the provider reports no usage, four bytes of text are taken for a token.
_BYTES_PER_TOKEN = 4


def call_ceiling(model: PricedModel, body: JsonObject, prompt_tokens: int) -> Decimal:
    """The most that one model call with this body, whose prompt has at most so many tokens, can cost, in credits."""
    return chat_ceiling(
        model.price,
        prompt_tokens=prompt_tokens,
        completion_tokens=output_tokens_bound(body, model.max_output_tokens),
    )


class TurnMeter:
    """Counts what one turn's model calls cost, and tops the turn's hold up before a call that it does not cover.

    Attributes:
        held: credits that the turn holds.
        was_opened: whether a model may have been called.
        was_used: whether a call is over that costs something.
        usage: tokens of the calls that are over.
    """

    def __init__(
        self,
        database: Database,
        *,
        organization_id: str,
        reference: str,
        models: Mapping[str, PricedModel],
        image_tokens: int,
    ) -> None:
        self._database = database
        self._organization_id = organization_id
        self._reference = reference
        self._models = models
        self._image_tokens = image_tokens
        self.held = Decimal(0)
        self._open = Decimal(0)
        self._spent = Decimal(0)
        self._is_estimated = False
        self.was_opened = False
        self.was_used = False
        self.usage = Usage(0, 0)

    @property
    def cost(self) -> Cost:
        """What the calls that are over have cost."""
        return Cost(self._spent, self._is_estimated)

    def expect_call(self, model: str, body: JsonObject) -> None:
        """Count a call into what the turn holds from its beginning; to be used before the hold is placed."""
        priced = self._priced(model)
        self.held += call_ceiling(priced, body, self._prompt_tokens(priced, body))

    async def open_call(self, model: str, body: JsonObject) -> "TurnCall":
        """See `Meter.open_call`."""
        priced = self._priced(model)
        prompt_tokens = self._prompt_tokens(priced, body)
        ceiling = call_ceiling(priced, body, prompt_tokens)
        missing = self._spent + self._open + ceiling - self.held
        # Counted before the wait, so that calls that run side by side do not count on the same credits.
        self._open += ceiling
        if missing > 0:
            try:
                await self._top_up(missing)
            except BaseException:  # raised again
                self._open -= ceiling
                raise
        self.was_opened = True
        return TurnCall(self, priced, ceiling, prompt_tokens)

    def _prompt_tokens(self, model: PricedModel, body: JsonObject) -> int:
        return prompt_tokens_bound(body, self._image_tokens if model.image_tokens is None else model.image_tokens)

    def _priced(self, model: str) -> PricedModel:
        if model not in self._models:
            raise ModelNotPricedError(f"The model {model} has no price in the catalog")
        return self._models[model]

    async def _top_up(self, amount: Decimal) -> None:
        self.held += amount
        try:
            async with self._database.transaction() as tx:
                await credits.top_up(
                    tx, organization_id=self._organization_id, reference=self._reference, amount=amount
                )
        except BaseException:  # raised again
            self.held -= amount
            raise

    def close_call(self, call: "TurnCall", usage: Usage, *, is_estimated: bool) -> None:
        """Add one call's cost; called by `TurnCall`."""
        self.was_used = True
        self._open -= call.ceiling
        self._spent += chat_cost(
            call.model.price, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens
        )
        self._is_estimated = self._is_estimated or is_estimated
        self.usage = self.usage + usage

    def drop_call(self, call: "TurnCall") -> None:
        """Forget a call that costs nothing; called by `TurnCall`."""
        self._open -= call.ceiling


@dataclass(frozen=True)
class TurnCall:
    """One model call of a turn, its highest cost held."""

    meter: TurnMeter
    model: PricedModel
    ceiling: Decimal
    prompt_bytes: int

    def settle(self, usage: Usage | None, delivered_bytes: int) -> None:
        """See `MeteredCall.settle`."""
        if usage is not None:
            self.meter.close_call(self, usage, is_estimated=False)
        elif delivered_bytes == 0:
            self.meter.drop_call(self)
        else:
            estimate = Usage(-(-self.prompt_bytes // _BYTES_PER_TOKEN), -(-delivered_bytes // _BYTES_PER_TOKEN))
            self.meter.close_call(self, estimate, is_estimated=True)
