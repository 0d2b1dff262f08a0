"""What a call costs: pure functions over exact decimals, in credits with 6 decimals."""

from dataclasses import dataclass, fields
from decimal import ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Annotated, Any, Self

from pydantic import Field

from app.catalog.errors import ModelNotPricedError

# Credits are stored with this precision.
SIX_DECIMALS = Decimal("0.000001")
# The largest amount that can be stored. No balance is larger, so a cost above it is charged as if it were this.
MOST_CREDITS = Decimal(10) ** 12 - SIX_DECIMALS
Amount = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=6, allow_inf_nan=False)]

_MILLION = Decimal(1_000_000)
_ZERO = Decimal(0)


@dataclass(frozen=True)
class UnitPrices:
    """The credits that a model costs per unit. This is the one list of the units that a price can have.

    The columns of the table with their check, the form of catalog files and the export are made from it. A new unit is
    a field here, a migration, and its part in a cost below and in
    `app.verification.cost_sql`.
    """

    per_call: Amount = _ZERO
    per_second: Amount = _ZERO
    per_output: Amount = _ZERO
    per_million_prompt_tokens: Amount = _ZERO
    per_million_completion_tokens: Amount = _ZERO


PRICE_UNITS = tuple(field.name for field in fields(UnitPrices))


@dataclass(frozen=True, kw_only=True)
class PriceTag(UnitPrices):
    """The price of one model that was in force when the work was accepted.

    Attributes:
        id: the stored price.
        model_name: the model that it is a price of.
        ceiling: the most credits that one generation may cost; None for chat models without one.
    """

    id: int
    model_name: str
    ceiling: Decimal | None = None

    @classmethod
    def of_row(cls, row: Any, *, id_column: str = "id") -> Self:
        """The price in a row that has the columns of the table `prices`, whose id is in `id_column`."""
        units = {unit: row[unit] for unit in PRICE_UNITS}
        return cls(id=row[id_column], model_name=row["model_name"], ceiling=row["ceiling"], **units)


@dataclass(frozen=True)
class Cost:
    """An amount of credits. It is an estimate if the vendor did not report what it is computed from."""

    amount: Decimal
    is_estimated: bool = False


def generation_ceiling(price: PriceTag) -> Decimal:
    """The most that one generation can cost, which is what is held for it.

    Raises:
        ModelNotPricedError: the price has no ceiling.
    """
    if price.ceiling is None:
        raise ModelNotPricedError.for_generation(price.model_name)
    return price.ceiling


def generation_cost(price: PriceTag, *, predict_time: Decimal | None, outputs: int) -> Cost:
    """What one finished generation costs. It is never more than the ceiling.

    Args:
        price: the price at which it was accepted.
        predict_time: seconds of computing; None if the vendor did not report it.
        outputs: how many files it produced.
    """
    ceiling = generation_ceiling(price)
    if predict_time is None and price.per_second:
        return Cost(ceiling, is_estimated=True)
    seconds = predict_time or _ZERO
    amount = price.per_call + price.per_second * seconds + price.per_output * outputs
    return Cost(min(ceiling, amount.quantize(SIX_DECIMALS, ROUND_HALF_UP)))


def chat_cost(price: PriceTag, *, prompt_tokens: int, completion_tokens: int) -> Decimal:
    """What one model call with these numbers of tokens costs, streamed or not."""
    amount = _chat_amount(price, prompt_tokens, completion_tokens)
    return min(MOST_CREDITS, amount.quantize(SIX_DECIMALS, ROUND_HALF_UP))


def chat_ceiling(price: PriceTag, *, prompt_tokens: int, completion_tokens: int) -> Decimal:
    """The most that a model call with at most these tokens can cost. It is rounded up, so that no cost exceeds it."""
    return _chat_amount(price, prompt_tokens, completion_tokens).quantize(SIX_DECIMALS, ROUND_UP)


def affordable_tokens(price: PriceTag, *, prompt_tokens: int, most: Decimal, wanted: int) -> int:
    """How many tokens of an answer, of those `wanted`, a model call may have that costs at most `most`.

    It is negative if not even the prompt can be paid for.
    """
    left = most - _chat_amount(price, prompt_tokens, 0)
    if left < 0:
        return -1
    per_token = price.per_million_completion_tokens
    # The ceiling of a call is rounded up to the decimals that `most` has, so it is exceeded by what exceeds this.
    return wanted if per_token * wanted <= left * _MILLION else int(left * _MILLION // per_token)


def _chat_amount(price: PriceTag, prompt_tokens: int, completion_tokens: int) -> Decimal:
    per_token = price.per_million_prompt_tokens * prompt_tokens
    per_token += price.per_million_completion_tokens * completion_tokens
    return price.per_call + per_token / _MILLION
