from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from app.agents.runtime.model_call_body import output_tokens_bound, prompt_tokens_bound
from app.catalog.errors import ModelNotPricedError
from app.catalog.pricing import Cost, chat_ceiling, chat_cost
from app.catalog.service import PricedModel
from app.chat_models.judgement import is_free, judge
from app.chat_models.protocol import BYTES_PER_TOKEN, JsonObject, Usage
from app.core.database import Database
from app.credits import service as credits


def call_ceiling(model: PricedModel, body: JsonObject, prompt_tokens: int) -> Decimal:
    """The most that a model call with this body can cost, in credits. `prompt_tokens` is a bound for its prompt."""
    return chat_ceiling(
        model.price,
        prompt_tokens=prompt_tokens,
        completion_tokens=output_tokens_bound(body, model.max_output_tokens),
    )


class TurnMeter:
    """Counts what a turn's model calls cost. Before a call that the turn's hold does not cover, it tops up the hold.

    Attributes:
        held: credits that the turn holds.
        was_opened: whether a model may have been called.
        was_used: whether a call has ended that costs something.
        usage: tokens of the calls that have ended.
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
        """What the calls that have ended cost."""
        return Cost(self._spent, self._is_estimated)

    def expect_call(self, model: str, body: JsonObject) -> None:
        """Add the most that a call can cost to `held`. For the first call only, before the hold is placed."""
        priced = self._priced(model)
        self.held += call_ceiling(priced, body, self._prompt_tokens(priced, body))

    async def open_call(self, model: str, body: JsonObject) -> "TurnCall":
        """See `Meter.open_call`."""
        priced = self._priced(model)
        prompt_tokens = self._prompt_tokens(priced, body)
        ceiling = call_ceiling(priced, body, prompt_tokens)
        missing = self._spent + self._open + ceiling - self.held
        # Counted before the wait, so that concurrent calls do not rely on the same credits.
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
        """Add the cost of a call that has ended. Called by `TurnCall`."""
        self.was_used = True
        self._open -= call.ceiling
        self._spent += chat_cost(
            call.model.price, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens
        )
        self._is_estimated = self._is_estimated or is_estimated
        self.usage = self.usage + usage

    def drop_call(self, call: "TurnCall") -> None:
        """Forget a call that costs nothing. Called by `TurnCall`."""
        self._open -= call.ceiling


@dataclass(frozen=True)
class TurnCall:
    """One model call of a turn.

    `ceiling`, the most that it can cost, is held for it. `prompt_bound` is a bound for the tokens of its prompt: for
    text, its length in bytes.
    """

    meter: TurnMeter
    model: PricedModel
    ceiling: Decimal
    prompt_bound: int

    def began_answering(self) -> None:
        """See `MeteredCall.began_answering`."""

    def settle(self, reported: Usage | None, delivered_bytes: int, *, is_final: bool) -> None:
        """See `MeteredCall.settle`."""
        if is_free(reported, delivered_bytes, is_final=is_final):
            self.meter.drop_call(self)
            return
        prompt_estimate = -(-self.prompt_bound // BYTES_PER_TOKEN)
        usage, is_estimated = judge(reported, delivered_bytes, prompt_estimate, is_final=is_final)
        self.meter.close_call(self, usage, is_estimated=is_estimated)
