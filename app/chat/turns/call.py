from decimal import Decimal
from time import monotonic

from app.agents.runtime.model_call_body import (
    SHORTEST_PAID_ANSWER,
    output_tokens_bound,
    unused_prediction_bound,
    with_answer_of,
)
from app.catalog.pricing import affordable_tokens, chat_ceiling, chat_cost
from app.catalog.service import PricedModel
from app.chat_models.judgement import is_free, judge
from app.chat_models.protocol import BYTES_PER_TOKEN, JsonObject, Usage
from app.core.metrics import MODEL_CALLS, MODEL_FIRST_TOKEN_SECONDS, MODEL_SECONDS, MODEL_TOKENS, ByName
from app.credits.errors import MaxCreditsReachedError
from app.credits.metering import MeteredUse
from app.credits.models import EventKind


def call_ceiling(model: PricedModel, body: JsonObject, prompt_tokens: int) -> Decimal:
    """The most that a model call with this body can cost, in credits. `prompt_tokens` is a bound for its prompt."""
    answer_tokens = output_tokens_bound(body, model.max_output_tokens)
    return chat_ceiling(
        model.price,
        prompt_tokens=prompt_tokens,
        completion_tokens=answer_tokens + unused_prediction_bound(body),
    )


def within(most: Decimal, model: PricedModel, body: JsonObject, prompt_tokens: int) -> JsonObject:
    """The body of a model call that costs no more than `most` credits: its answer may be shorter for that.

    Raises:
        MaxCreditsReachedError: nothing would be left for an answer.
    """
    wanted, predicted = output_tokens_bound(body, model.max_output_tokens), unused_prediction_bound(body)
    tokens = affordable_tokens(model.price, prompt_tokens=prompt_tokens, most=most, wanted=wanted + predicted)
    room = tokens - predicted
    if room < min(wanted, SHORTEST_PAID_ANSWER):
        raise MaxCreditsReachedError
    return body if room >= wanted else with_answer_of(body, room)


class _Series:
    """What is counted of the calls of one model."""

    def __init__(self, model: str) -> None:
        self.used, self.free = MODEL_CALLS.labels(model, "used"), MODEL_CALLS.labels(model, "free")
        self.prompt_tokens = MODEL_TOKENS.labels(model, "prompt")
        self.completion_tokens = MODEL_TOKENS.labels(model, "completion")
        self.seconds = MODEL_SECONDS.labels(model)
        self.first_token_seconds = MODEL_FIRST_TOKEN_SECONDS.labels(model)


_SERIES = ByName(_Series)


class TurnCall:
    """One model call of a turn: from when it is opened until it is known what it has used.

    `ceiling`, the most that it can cost, is held for it. `prompt_bound` is a bound for the tokens of its prompt: for
    text, its length in bytes.

    Attributes:
        ceiling: credits.
        body: what is asked for, with a limit of the answer that can be paid for.
        usage: the tokens that it has used; none while it runs, and if it was free.
        is_recorded: whether its use is known to be in Postgres.
    """

    def __init__(self, call_id: str, agent: str, model: PricedModel, body: JsonObject, prompt_bound: int) -> None:
        self.ceiling = call_ceiling(model, body, prompt_bound)
        self.body = body
        self.usage = Usage(0, 0)
        self.is_recorded = False
        self._call_id = call_id
        self._agent = agent
        self._model = model
        self._prompt_bound = prompt_bound
        self._began_at: float | None = None
        self._first_token_at: float | None = None
        self._delivered_bytes = 0
        self._use: MeteredUse | None = None

    @property
    def has_ended(self) -> bool:
        return self._use is not None

    @property
    def was_used(self) -> bool:
        """Whether it has ended and was not free."""
        return self._use is not None and self._use.completion_tokens is not None

    @property
    def use(self) -> MeteredUse:
        """What it has used. A call that was opened and never made is free."""
        return self._use or self._free()

    @property
    def use_so_far(self) -> MeteredUse:
        """What it has used by now, if it were cut short at this moment."""
        if self._use is not None or not self._delivered_bytes:
            return self.use
        return self._judged(None, self._delivered_bytes, is_final=False)[0]

    def begin(self) -> None:
        """Note that the call begins."""
        self._began_at = monotonic()

    def began_answering(self) -> None:
        """See `MeteredCall.began_answering`."""
        self._first_token_at = self._first_token_at or monotonic()

    def delivered(self, delivered_bytes: int) -> None:
        """See `MeteredCall.delivered`."""
        self._delivered_bytes = delivered_bytes

    def settle(self, reported: Usage | None, delivered_bytes: int, *, is_final: bool) -> None:
        """See `MeteredCall.settle`."""
        if is_free(reported, delivered_bytes, is_final=is_final):
            self._use = self._free()
            self._count()
            return
        self._use, self.usage = self._judged(reported, delivered_bytes, is_final=is_final)
        self._count()

    def _judged(self, reported: Usage | None, delivered_bytes: int, *, is_final: bool) -> tuple[MeteredUse, Usage]:
        estimate = -(-self._prompt_bound // BYTES_PER_TOKEN)
        usage, is_estimated = judge(reported, delivered_bytes, estimate, is_final=is_final)
        cost = chat_cost(
            self._model.price, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens
        )
        use = self._metered(cost, is_estimated=is_estimated, tokens=usage, delivered_bytes=delivered_bytes)
        return use, usage

    def _count(self) -> None:
        """Count the call, which has ended. One that was opened and never made is none."""
        if self._began_at is None:
            return
        series = _SERIES[self._model.name]
        (series.used if self.was_used else series.free).inc()
        series.seconds.observe(monotonic() - self._began_at)
        series.prompt_tokens.inc(self.usage.prompt_tokens)
        series.completion_tokens.inc(self.usage.completion_tokens)
        if self._first_token_at is not None:
            series.first_token_seconds.observe(self._first_token_at - self._began_at)

    def _free(self) -> MeteredUse:
        return self._metered(Decimal(0))

    def _metered(
        self,
        cost: Decimal,
        *,
        is_estimated: bool = False,
        tokens: Usage | None = None,
        delivered_bytes: int | None = None,
    ) -> MeteredUse:
        return MeteredUse(
            call_id=self._call_id,
            kind=EventKind.MODEL_CALL,
            agent=self._agent,
            model=self._model.name,
            price_id=self._model.price.id,
            cost=cost,
            is_estimated=is_estimated,
            prompt_tokens=tokens.prompt_tokens if tokens else None,
            completion_tokens=tokens.completion_tokens if tokens else None,
            delivered_bytes=delivered_bytes,
            began_at=self._began_at,
            first_token_at=self._first_token_at,
            ended_at=monotonic() if self._began_at else None,
        )
