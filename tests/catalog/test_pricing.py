from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalog.errors import ModelNotPricedError
from app.catalog.pricing import (
    MOST_CREDITS,
    SIX_DECIMALS,
    Cost,
    PriceTag,
    chat_ceiling,
    chat_cost,
    generation_ceiling,
    generation_cost,
)

AMOUNTS = st.decimals(0, 10_000, places=6)
SECONDS = st.decimals(0, 100_000, places=9)
FILES = st.integers(0, 100)
TOKENS = st.integers(0, 10**9)
PRICES = st.builds(
    PriceTag,
    id=st.just(1),
    model_name=st.just("owner/name"),
    per_call=AMOUNTS,
    per_second=AMOUNTS,
    per_output=AMOUNTS,
    per_million_prompt_tokens=AMOUNTS,
    per_million_completion_tokens=AMOUNTS,
    ceiling=AMOUNTS,
)
FREE = PriceTag(id=1, model_name="owner/name", ceiling=Decimal(0))


@settings(deadline=None)
@given(PRICES, st.none() | SECONDS, FILES)
def test_a_generation_never_costs_more_than_its_ceiling_or_less_than_zero(
    price: PriceTag, seconds: Decimal | None, outputs: int
) -> None:
    cost = generation_cost(price, predict_time=seconds, outputs=outputs)

    assert 0 <= cost.amount <= generation_ceiling(price)


@settings(deadline=None)
@given(PRICES, st.none() | SECONDS, FILES)
def test_the_cost_of_a_generation_is_a_whole_number_of_millionths(
    price: PriceTag, seconds: Decimal | None, outputs: int
) -> None:
    amount = generation_cost(price, predict_time=seconds, outputs=outputs).amount

    assert amount == amount.quantize(SIX_DECIMALS)


@settings(deadline=None)
@given(PRICES, SECONDS, FILES)
def test_the_cost_of_a_generation_is_rounded_to_the_nearest_millionth(
    price: PriceTag, seconds: Decimal, outputs: int
) -> None:
    unbounded = replace(price, ceiling=Decimal(10) ** 12)

    cost = generation_cost(unbounded, predict_time=seconds, outputs=outputs)

    exact = price.per_call + price.per_second * seconds + price.per_output * outputs
    assert abs(cost.amount - exact) <= SIX_DECIMALS / 2
    assert not cost.is_estimated


@settings(deadline=None)
@given(PRICES, FILES)
def test_an_unknown_time_matters_only_if_the_price_depends_on_it(price: PriceTag, outputs: int) -> None:
    cost = generation_cost(price, predict_time=None, outputs=outputs)

    if price.per_second:
        assert cost == Cost(generation_ceiling(price), is_estimated=True)
    else:
        assert cost == generation_cost(price, predict_time=Decimal(0), outputs=outputs)


def test_a_time_of_zero_is_not_an_unknown_time() -> None:
    price = replace(FREE, per_call=Decimal("0.25"), per_second=Decimal(1), ceiling=Decimal(9))

    assert generation_cost(price, predict_time=Decimal(0), outputs=1) == Cost(Decimal("0.25"))


@pytest.mark.parametrize(
    ("seconds", "amount"),
    [("0.0000005", "0.000001"), ("0.0000004999", "0"), ("12.3456785", "12.345679"), ("12.3456784", "12.345678")],
)
def test_half_a_millionth_is_rounded_up(seconds: str, amount: str) -> None:
    price = replace(FREE, per_second=Decimal(1), ceiling=Decimal(100))

    assert generation_cost(price, predict_time=Decimal(seconds), outputs=1).amount == Decimal(amount)


def test_a_generation_without_a_ceiling_is_refused() -> None:
    price = replace(FREE, ceiling=None)

    with pytest.raises(ModelNotPricedError, match="owner/name has no price with a ceiling"):
        generation_cost(price, predict_time=Decimal(1), outputs=1)


@settings(deadline=None)
@given(PRICES, TOKENS, TOKENS)
def test_a_chat_never_costs_more_than_was_held_for_it(price: PriceTag, prompt: int, completion: int) -> None:
    cost = chat_cost(price, prompt_tokens=prompt, completion_tokens=completion)
    ceiling = chat_ceiling(price, prompt_tokens=prompt, completion_tokens=completion)

    assert 0 <= cost <= ceiling <= cost + SIX_DECIMALS
    assert cost == cost.quantize(SIX_DECIMALS)
    assert ceiling == ceiling.quantize(SIX_DECIMALS)


@settings(deadline=None)
@given(PRICES, TOKENS, TOKENS, TOKENS, TOKENS)
def test_fewer_tokens_never_cost_more(price: PriceTag, prompt: int, completion: int, more: int, longer: int) -> None:
    bound = chat_ceiling(price, prompt_tokens=prompt + more, completion_tokens=completion + longer)

    assert chat_cost(price, prompt_tokens=prompt, completion_tokens=completion) <= bound


def test_the_documented_prices_are_per_million_tokens() -> None:
    price = replace(
        FREE,
        per_call=Decimal("0.01"),
        per_million_prompt_tokens=Decimal("0.15"),
        per_million_completion_tokens=Decimal("0.60"),
    )

    assert chat_cost(price, prompt_tokens=1_000_000, completion_tokens=2_000_000) == Decimal("1.36")
    assert chat_cost(price, prompt_tokens=10, completion_tokens=25) == Decimal("0.010017")
    assert chat_ceiling(price, prompt_tokens=10, completion_tokens=25) == Decimal("0.010017")
    assert chat_ceiling(price, prompt_tokens=1, completion_tokens=0) == Decimal("0.010001")


def test_a_free_model_costs_nothing() -> None:
    assert chat_cost(FREE, prompt_tokens=10**9, completion_tokens=10**9) == 0
    assert generation_cost(FREE, predict_time=None, outputs=4) == Cost(Decimal(0))


def test_a_cost_that_cannot_be_stored_is_the_largest_that_can() -> None:
    price = replace(FREE, per_million_completion_tokens=MOST_CREDITS)

    assert chat_cost(price, prompt_tokens=0, completion_tokens=100_000_000) == MOST_CREDITS
