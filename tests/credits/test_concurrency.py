"""Concurrent steps never spend, grant or give back anything twice. Each step is a real transaction of its own."""

import asyncio
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any

import pytest

from app.credits.errors import InsufficientCreditsError
from tests.credits.accounts import Account

RACES = 20


async def at_once(*steps: Coroutine[Any, Any, Any]) -> list[Any]:
    """The results of the steps, which start at the same time; a refusal for lack of credits is returned, not raised."""
    ended = await asyncio.gather(*steps, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, BaseException) and not isinstance(outcome, InsufficientCreditsError):
            raise outcome
    return ended


async def test_of_a_hundred_holds_on_a_balance_for_seven_exactly_seven_succeed(account: Account) -> None:
    outcomes = await at_once(*(account.hold(f"hold-{number}") for number in range(100)))

    assert sum(outcome is None for outcome in outcomes) == 7
    assert sum(isinstance(outcome, InsufficientCreditsError) for outcome in outcomes) == 93
    assert (await account.balance()).available == 0


async def test_of_many_top_ups_exactly_those_that_the_balance_covers_succeed(account: Account) -> None:
    await account.hold("a", "1")

    outcomes = await at_once(*(account.top_up("a") for _ in range(30)))

    assert sum(outcome is None for outcome in outcomes) == 6
    assert (await account.balance()).held == 7


@pytest.mark.parametrize("order", ["settle first", "void first"])
async def test_of_a_settlement_and_a_void_at_once_exactly_one_wins(account: Account, order: str) -> None:
    for number in range(RACES):
        reference = f"race-{number}"
        await account.hold(reference, "0.3")
        steps: list[Coroutine[Any, Any, Any]] = [account.settle(reference, "0.1"), account.void(reference)]

        await at_once(*(steps if order == "settle first" else reversed(steps)))

    charges = await account.entries("charge")
    balance = await account.balance()
    assert set(charges) <= {Decimal("-0.1")}
    assert balance.balance == 7 + sum(charges)
    assert balance.held == 0


async def test_a_hold_settled_many_times_at_once_is_charged_once(account: Account) -> None:
    await account.hold("a", "2")

    charged = await at_once(*(account.settle("a", "0.5") for _ in range(RACES)))

    assert [amount for amount in charged if amount is not None] == [Decimal("0.5")]
    assert await account.entries("charge") == [Decimal("-0.5")]


@pytest.mark.parametrize("ending", ["settle", "void"])
async def test_a_top_up_while_a_hold_ends_leaves_nothing_held(account: Account, ending: str) -> None:
    for number in range(RACES):
        reference = f"race-{number}"
        await account.hold(reference, "0.1")

        end = account.void(reference) if ending == "void" else account.settle(reference, "0.1")
        await at_once(account.top_up(reference, "0.2"), end)

        assert (await account.balance()).held == 0


async def test_a_reference_granted_many_times_at_once_is_granted_once(account: Account) -> None:
    granted = await at_once(*(account.grant("invoice", "5") for _ in range(RACES)))

    assert sum(granted) == 1
    assert (await account.balance()).balance == 12


async def test_a_reference_held_many_times_at_once_is_held_once(account: Account) -> None:
    outcomes = await asyncio.gather(*(account.hold("a", "0.5") for _ in range(5)), return_exceptions=True)

    assert sum(outcome is None for outcome in outcomes) == 1
    assert (await account.balance()).held == Decimal("0.5")


async def test_books_balance_after_many_mixed_steps_at_once(account: Account) -> None:
    async def live(number: int) -> None:
        reference = f"storm-{number}"
        await account.hold(reference, "0.2")
        await at_once(account.top_up(reference, "0.1"), account.grant(f"gift-{number % 5}", "0.5"))
        await at_once(account.settle(reference, "0.05"), account.void(reference), account.settle(reference, "0.07"))

    await at_once(*(live(number) for number in range(40)))

    assert (await account.balance()).held == 0
