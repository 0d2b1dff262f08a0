"""What a call costs: pure functions over exact decimals, in credits with 6 decimals."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, ROUND_UP, Decimal

from app.catalog.errors import ModelNotPricedError

SIX_PLACES = Decimal("0.000001")
_MILLION = Decimal(1_000_000)
_ZERO = Decimal(0)


@dataclass(frozen=True)
class PriceTag:
    """The prices of one model that were in force when the work was accepted."""

    id: int
    model_name: str
    per_call: Decimal = _ZERO
    per_second: Decimal = _ZERO
    per_output: Decimal = _ZERO
    per_million_prompt_tokens: Decimal = _ZERO
    per_million_completion_tokens: Decimal = _ZERO
    ceiling: Decimal | None = None


@dataclass(frozen=True)
class Cost:
    """An amount of credits. It is an estimate where the vendor did not say what it should be computed from."""

    amount: Decimal
    is_estimated: bool = False


def generation_ceiling(price: PriceTag) -> Decimal:
    """The most that one generation can cost: what is held for it.

    Raises:
        ModelNotPricedError: the price has no ceiling.
    """
    if price.ceiling is None:
        raise ModelNotPricedError(f"The price of {price.model_name} has no ceiling")
    return price.ceiling


def generation_cost(price: PriceTag, *, predict_time: Decimal | None, outputs: int) -> Cost:
    """What one finished generation costs, never more than its ceiling.

    Args:
        price: the price it was accepted at.
        predict_time: seconds of computing; None where the vendor did not say.
        outputs: how many files it made.
    """
    ceiling = generation_ceiling(price)
    if predict_time is None and price.per_second:
        return Cost(ceiling, is_estimated=True)
    seconds = predict_time or _ZERO
    amount = price.per_call + price.per_second * seconds + price.per_output * outputs
    return Cost(min(ceiling, amount.quantize(SIX_PLACES, ROUND_HALF_UP)))


def chat_cost(price: PriceTag, *, prompt_tokens: int, completion_tokens: int) -> Decimal:
    """What one model call of so many tokens costs, streamed or not."""
    return _chat_amount(price, prompt_tokens, completion_tokens).quantize(SIX_PLACES, ROUND_HALF_UP)


def chat_ceiling(price: PriceTag, *, prompt_tokens: int, completion_tokens: int) -> Decimal:
    """The most that a model call within these bounds can cost; rounded up, so that no cost exceeds it."""
    return _chat_amount(price, prompt_tokens, completion_tokens).quantize(SIX_PLACES, ROUND_UP)


def _chat_amount(price: PriceTag, prompt_tokens: int, completion_tokens: int) -> Decimal:
    per_token = price.per_million_prompt_tokens * prompt_tokens
    per_token += price.per_million_completion_tokens * completion_tokens
    return price.per_call + per_token / _MILLION
