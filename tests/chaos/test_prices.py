"""The prices of a run, which the product does not compute."""

from decimal import Decimal

import pytest

from app.catalog.toml import read_catalog
from chaos.plan import MODELS
from chaos.prices import CHAT_MODEL, CHAT_PRICES, ChatPrice, GenerationPrice, catalog_of, generation_price


def test_a_chat_costs_its_call_and_its_tokens() -> None:
    price = ChatPrice(Decimal("0.5"), Decimal(2), Decimal(3))

    assert price.cost(1_000_000, 2_000_000) == Decimal("8.5")


@pytest.mark.parametrize(("tokens", "cost"), [(1, "0.000000"), (2, "0.000001"), (3, "0.000001")])
def test_half_a_millionth_is_rounded_up(tokens: int, cost: str) -> None:
    assert ChatPrice(Decimal(0), Decimal("0.25"), Decimal(0)).cost(tokens, 0) == Decimal(cost)


def test_a_generation_costs_at_most_its_ceiling() -> None:
    price = GenerationPrice(Decimal("0.1"), Decimal("0.2"), Decimal("0.3"), Decimal("1.5"))

    assert price.cost(Decimal("0.5"), 2) == Decimal("0.8")
    assert price.cost(Decimal("9.5"), 2) == Decimal("1.5")


def test_the_product_reads_the_prices_of_the_run() -> None:
    entries = {entry.name: entry.price for entry in read_catalog(catalog_of(MODELS)).models}

    assert entries.keys() == {*CHAT_PRICES, *MODELS}
    assert entries[CHAT_MODEL].per_million_completion_tokens == CHAT_PRICES[CHAT_MODEL].per_million_completion_tokens
    for name in MODELS:
        price = generation_price(name)
        assert (entries[name].per_call, entries[name].per_second) == (price.per_call, price.per_second)
        assert (entries[name].per_output, entries[name].ceiling) == (price.per_output, price.ceiling)
