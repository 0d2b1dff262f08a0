"""Who may have how much of large bodies in hand at once."""

import asyncio

import pytest

from app.core.body_budget import SMALL_BYTES, BodyBudget, HeldBody
from app.core.errors import ServerBusyError

MEGABYTE = 1024 * 1024


def budget_of(megabytes: int, *, patience: float = 0) -> BodyBudget:
    return BodyBudget(megabytes * MEGABYTE, patience=patience)


async def hold(budget: BodyBudget, owner: str, megabytes: float) -> HeldBody:
    held = HeldBody(budget, owner)
    await held.resize(int(megabytes * MEGABYTE))
    return held


async def fill(budget: BodyBudget, owner: str) -> int:
    """How many bodies of ten megabytes an owner can hold."""
    for count in range(100):
        try:
            await hold(budget, owner, 10)
        except ServerBusyError:
            return count
    return 100


async def test_one_owner_gets_half_and_every_further_one_something() -> None:
    budget = budget_of(240)

    assert [await fill(budget, owner) for owner in "abcd"] == [12, 6, 3, 2]


async def test_an_owner_that_has_much_waits_while_others_do_not() -> None:
    budget = budget_of(40)
    await hold(budget, "a", 20)

    with pytest.raises(ServerBusyError) as refused:
        await hold(budget, "a", 1)
    await hold(budget, "b", 10)

    assert (refused.value.status, refused.value.code, refused.value.retryable) == (503, "server_busy", True)
    assert refused.value.headers()["Retry-After"] == "5"


async def test_who_waits_goes_on_as_soon_as_something_is_given_back() -> None:
    budget = budget_of(24, patience=60)
    first = await hold(budget, "a", 12)
    waiting = asyncio.create_task(hold(budget, "a", 10))
    await asyncio.sleep(0)
    assert not waiting.done()

    first.let_go()

    await waiting
    assert budget.held == 10 * MEGABYTE


async def test_a_body_counts_until_nobody_keeps_it() -> None:
    budget = budget_of(24)
    held = await hold(budget, "a", 10)
    held.keep()

    held.let_go()
    assert budget.held == 10 * MEGABYTE

    held.let_go()
    assert budget.held == 0


async def test_a_body_counts_with_what_it_turns_out_to_be() -> None:
    budget = budget_of(24)
    held = await hold(budget, "a", 10)

    await held.resize(MEGABYTE)
    assert budget.held == MEGABYTE

    await held.resize(SMALL_BYTES)
    assert budget.held == 0


async def test_a_body_that_does_not_fit_leaves_nothing_behind() -> None:
    budget = budget_of(24)
    held = await hold(budget, "a", 5)

    with pytest.raises(ServerBusyError):
        await held.resize(20 * MEGABYTE)
    held.let_go()

    assert budget.held == 0
