"""Random steps, several at the same time, on the real ledger; a model says which states are possible afterwards."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import asyncpg
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from app.core.database import Database
from app.core.errors import InvalidRequestError
from app.credits import service as credits
from app.credits.errors import InsufficientCreditsError
from tests import factories
from tests.credits.accounts import Account

START = Decimal(7)
_T = TypeVar("_T")
# Runs a coroutine on the tests' event loop, called from Hypothesis's thread.
Run = Callable[[Coroutine[Any, Any, _T]], _T]

REFERENCES = st.sampled_from("abcdefgh")
AMOUNTS = st.decimals(min_value=0, max_value=4, places=6) | st.sampled_from([Decimal(1), Decimal(2)])


@dataclass(frozen=True)
class Step:
    """One operation on the account."""

    kind: str
    reference: str
    amount: Decimal


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["hold", "hold", "hold", "top_up", "settle", "settle", "void", "grant", "expire"]),
        REFERENCES,
        AMOUNTS,
    ),
    min_size=1,
    max_size=5,
)


@dataclass
class Hold:
    """What is known about the hold of one reference.

    `had_an_end`: a step tried to end it, maybe before it existed. `must_have_ended`: a step tried to after it existed.
    """

    amount: Decimal = Decimal(0)
    charged: Decimal | None = None
    is_placed: bool = False
    had_an_end: bool = False
    must_have_ended: bool = False


@dataclass
class Model:
    """What can be concluded from the results of the steps."""

    granted: dict[str, Decimal] = field(default_factory=dict)
    holds: defaultdict[str, Hold] = field(default_factory=lambda: defaultdict(Hold))

    def learn(self, steps: Sequence[Step], outcomes: Sequence[Any]) -> None:
        """Update the model with the results of steps that ran at the same time."""
        placed_before = {reference for reference, hold in self.holds.items() if hold.is_placed}
        for step, outcome in zip(steps, outcomes, strict=True):
            hold = self.holds[step.reference]
            if step.kind in {"settle", "void", "expire"}:
                hold.had_an_end = True
                hold.must_have_ended |= step.reference in placed_before
            if not isinstance(outcome, Exception):
                getattr(self, f"_learn_{step.kind}", _nothing)(step, hold, outcome)

    def _learn_hold(self, step: Step, hold: Hold, _: Any) -> None:
        assert not hold.is_placed, "held twice"
        hold.is_placed = True
        hold.amount += step.amount

    def _learn_top_up(self, step: Step, hold: Hold, _: Any) -> None:
        hold.amount += step.amount

    def _learn_settle(self, step: Step, hold: Hold, charged: Decimal | None) -> None:
        if charged is not None:
            assert hold.charged is None, "charged twice"
            hold.charged = charged
            assert charged <= step.amount

    def _learn_grant(self, step: Step, _: Hold, was_new: bool) -> None:
        if was_new:
            assert step.reference not in self.granted, "granted twice"
            self.granted[step.reference] = step.amount

    @property
    def balance(self) -> Decimal:
        charged = sum(hold.charged for hold in self.holds.values() if hold.charged is not None)
        return START + sum(self.granted.values()) - charged


class Books(RuleBasedStateMachine):
    """An account, and steps that each use their own connection."""

    def __init__(self, run: Run[Any], database: Database) -> None:
        super().__init__()
        self._run = run
        organization = run(factories.make_organization(database, credit=str(START)))
        self._account = Account(database, organization)
        self._model = Model()

    @rule(steps=STEPS)
    def take_steps(self, steps: list[Step]) -> None:
        before = self._run(self._account.balance())

        outcomes = self._run(self._at_once(steps))

        for step, outcome in zip(steps, outcomes, strict=True):
            if isinstance(outcome, Exception):
                _check_refusal(step, outcome)
        if len(steps) == 1 and steps[0].kind == "hold":
            has_enough = steps[0].amount <= before.available
            assert has_enough != isinstance(outcomes[0], InsufficientCreditsError)
        self._model.learn(steps, outcomes)
        self._run(self._check())

    async def _at_once(self, steps: Sequence[Step]) -> list[Any]:
        return await asyncio.gather(*map(self._take, steps), return_exceptions=True)

    async def _take(self, step: Step) -> Any:
        account, reference = self._account, step.reference
        if step.kind == "void":
            return await account.void(reference)
        if step.kind == "expire":
            return await self._expire(account.own(reference))
        if step.kind == "grant":
            return await account.grant(f"grant-{reference}", str(step.amount))
        return await getattr(account, step.kind)(reference, str(step.amount))

    async def _expire(self, reference: str) -> None:
        """Let the hold expire, as after a crash, and run the sweep."""
        async with self._account.database.transaction() as tx:
            await tx.execute(
                "UPDATE credit_holds SET expires_at = now() - interval '1 s' WHERE reference = $1 AND state = 'open'",
                reference,
            )
        await credits.settle_expired(self._account.database)

    async def _check(self) -> None:
        """Assert that the ledger agrees with the model."""
        await self._account.check()
        assert (await self._account.balance()).balance == self._model.balance
        async with self._account.database.transaction() as tx:
            rows = await tx.fetch(
                "SELECT reference, amount, state, charged FROM credit_holds WHERE organization_id = $1",
                self._account.organization.id,
            )
            charges = await tx.fetch(
                "SELECT reference, -amount AS charged FROM ledger_entries WHERE organization_id = $1"
                " AND kind = 'charge'",
                self._account.organization.id,
            )
        placed = {self._account.own(name): hold for name, hold in self._model.holds.items() if hold.is_placed}
        assert {row["reference"] for row in rows} == placed.keys()
        for row in rows:
            _check_hold(row, placed[row["reference"]])
        settled = {name: hold.charged for name, hold in placed.items() if hold.charged is not None}
        assert sorted((row["reference"], row["charged"]) for row in charges) == sorted(settled.items())


def _check_hold(row: asyncpg.Record, hold: Hold) -> None:
    assert row["amount"] == hold.amount
    assert row["charged"] == hold.charged
    assert (row["state"] == "settled") == (hold.charged is not None)
    assert row["state"] != "voided" or hold.had_an_end
    assert row["state"] != "open" or not hold.must_have_ended


def _check_refusal(step: Step, refusal: Exception) -> None:
    """Assert that this kind of step may be refused with this error."""
    allowed: dict[str, tuple[type[Exception], ...]] = {
        "hold": (InsufficientCreditsError, asyncpg.UniqueViolationError),
        "top_up": (InsufficientCreditsError,),
        # The amount is 0, or the reference was granted with another one.
        "grant": (InvalidRequestError,),
    }
    if not isinstance(refusal, allowed.get(step.kind, ())):
        raise refusal


def _nothing(*_: Any) -> None:
    """Nothing can be learned from a void: its result does not say whether it came first."""


async def test_the_books_stay_right_after_any_concurrent_steps(database: Database) -> None:
    loop = asyncio.get_running_loop()

    def run(step: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(step, loop).result(60)

    class TheseBooks(Books):
        def __init__(self) -> None:
            super().__init__(run, database)

    bounded = settings(
        max_examples=30,
        stateful_step_count=20,
        deadline=None,
        database=None,
        # Concurrent steps never run in the same order again, so a failing example cannot be shrunk.
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    await asyncio.to_thread(run_state_machine_as_test, TheseBooks, settings=bounded)
