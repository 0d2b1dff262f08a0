"""Every step moves a generation exactly as the table of transitions says, from no other state and to no other.

No worker runs at this site: each step is tried on a generation in each of the states.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest

from app.catalog.pricing import Cost
from app.core.attribution import Attribution
from app.core.database import Transaction
from app.generations import claims, completed_together, endings, outputs, parking, progress, service
from app.generations.attempts import AttemptLostError, ClaimedAttempt, Outcome, StoredFile
from app.generations.completed_together import Completion
from app.generations.media_types import TEXT
from app.generations.models import Generation
from app.generations.progress import Accepted
from app.generations.service import GenerationPolicy
from app.generations.states import CONDITIONS, TRANSITIONS, State
from tests import factories
from tests.worker.workbench import Workbench
from tests.worker_faults.plans import NAME, allow

_MODEL = "simulator/text"
_LEASE = timedelta(seconds=60)
_MANY = 1000
_POLICY = GenerationPolicy(deadline=timedelta(hours=1), max_retries=3)

# How a generation that was just requested is brought into each state.
_SET_UP = {
    State.PARKED: "is_parked = true",
    State.PENDING: "is_parked = false",
    State.STARTING: "status = 'processing', started_at = now()",
    State.RUNNING: "status = 'processing', started_at = now(), prediction_id = id::text",
    State.COPYING: (
        "status = 'processing', started_at = now(), prediction_id = id::text,"
        """ outcome = '{"output": "words", "predict_time": null}'"""
    ),
    State.COMPLETED: "status = 'completed', content_type = 'other', credit_cost = 0, completed_at = now()",
    State.FAILED: "status = 'failed', error_message = 'failed', credit_cost = 0, completed_at = now()",
}


@dataclass(frozen=True)
class Trial:
    """A generation in some state, and what steps are given to move it."""

    workbench: Workbench
    row: Generation

    @property
    def attempt(self) -> ClaimedAttempt:
        """The attempt as a worker knows it that claimed it in this state."""
        row = self.row
        return ClaimedAttempt(
            generation_id=row.id,
            number=row.retry_count,
            organization_id=row.organization_id,
            prediction_id=row.prediction_id,
            started_at=row.started_at,
            claim=row.claim,
            model=row.model,
            input=row.input,
            price_id=row.price_id,
            outcome=row.outcome,
            created_at=row.created_at,
            failures=row.failures,
            webhook_nonce=row.webhook_nonce,
            time_left=timedelta(hours=1),
        )


Step = Callable[[Transaction, Trial], Awaitable[object]]


async def _complete(tx: Transaction, trial: Trial) -> object:
    try:
        output = await outputs.reserve(tx, trial.attempt, 0, TEXT)
    except AttemptLostError:
        return False
    file = StoredFile(output.storage_path, TEXT.content_type, 1, "0" * 64)
    completed = Completion(trial.attempt, [file], Cost(Decimal(0)), None)
    queue = trial.workbench.resources.queue
    return any(
        await completed_together.complete(
            tx, queue, trial.workbench.announce, trial.attempt.organization_id, [completed]
        )
    )


async def _accept_plain(tx: Transaction, trial: Trial) -> object:
    await tx.execute(
        "INSERT INTO create_calls (generation_id, attempt, claim) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        *trial.attempt.key,
    )
    return any(await progress.accept_plain(tx, [Accepted(trial.attempt, f"new-{trial.row.id}")], timedelta(0)))


async def _fail_late(tx: Transaction, trial: Trial) -> object:
    await tx.execute("UPDATE generations SET deadline_at = now(), due_at = now() WHERE id = $1", trial.row.id)
    return await endings.fail_late(
        tx, trial.workbench.resources.queue, trial.workbench.announce, trial.attempt, "late", timedelta(0)
    )


async def _retry(tx: Transaction, trial: Trial) -> object:
    row = await tx.session.get_one(Generation, trial.row.id)
    return await service.retry(
        tx, trial.workbench.resources.queue, _POLICY, row, Attribution(organization_id=row.organization_id)
    )


_STEPS: Mapping[str, Step] = {
    "unpark": lambda tx, trial: parking.unpark(tx, trial.row.organization_id),
    "claim_starts": lambda tx, _: claims.claim_starts(tx, _MANY, _LEASE),
    "postpone": lambda tx, trial: claims.postpone(tx, trial.attempt, timedelta(0), is_failure=False),
    "set_prediction": lambda tx, trial: progress.set_prediction(tx, trial.attempt, f"new-{trial.row.id}", timedelta(0)),
    "accept_plain": _accept_plain,
    "note_callback": lambda tx, trial: progress.note_callback(
        tx, trial.row.id, 0, trial.row.webhook_nonce, trial.row.prediction_id or str(trial.row.id)
    ),
    "set_outcomes": lambda tx, trial: progress.set_outcomes(tx, [Outcome(trial.attempt, "{}", None)]),
    "complete": _complete,
    "fail_claimed": lambda tx, trial: endings.fail_claimed(
        tx, trial.workbench.resources.queue, trial.workbench.announce, trial.attempt, "no"
    ),
    "fail_running": lambda tx, trial: endings.fail_running(
        tx, trial.workbench.resources.queue, trial.workbench.announce, trial.attempt, "no"
    ),
    "fail_late": _fail_late,
    "retry": _retry,
}


def test_every_step_of_the_table_is_tried() -> None:
    assert {transition.step for transition in TRANSITIONS} == {"request_generation", *_STEPS}


@pytest.mark.parametrize("name", _STEPS)
async def test_a_step_moves_generations_as_the_table_says(workbench: Workbench, name: str) -> None:
    moved = set()
    for is_full in (False, True):
        for before in State:
            trial = await trial_in(workbench, before, is_full=is_full)
            async with workbench.resources.database.transaction() as tx:
                await _STEPS[name](tx, trial)
            after = await state_of(workbench, trial.row.id)
            moved |= {(before, after)} if after is not before else set()

    assert moved == {(each.before, each.after) for each in TRANSITIONS if each.step == name}


@pytest.mark.parametrize("is_full", [False, True])
async def test_a_request_makes_a_pending_generation_or_a_parked_one(workbench: Workbench, is_full: bool) -> None:
    trial = await trial_in(workbench, None, is_full=is_full)

    after = await state_of(workbench, trial.row.id)

    assert after is (State.PARKED if is_full else State.PENDING)
    assert after in {each.after for each in TRANSITIONS if each.before is None}


async def trial_in(workbench: Workbench, state: State | None, *, is_full: bool) -> Trial:
    """A new organization's generation in that state; as it was requested for None.

    If the organization is full, another of its generations takes all that its plan allows.
    """
    await allow(workbench, 1)
    organization = await factories.make_organization(workbench.resources.database, plan=NAME if is_full else "roomy")
    bench = replace(workbench, organization=organization)
    if is_full:
        other = await bench.ask(_MODEL)
        await bench.execute(f"UPDATE generations SET {_SET_UP[State.RUNNING]} WHERE id = $1", other)
    asked = await bench.ask(_MODEL)
    if state is not None:
        await bench.execute("UPDATE generations SET is_parked = false WHERE id = $1", asked)
        await bench.execute(f"UPDATE generations SET {_SET_UP[state]} WHERE id = $1", asked)
        assert await state_of(workbench, uuid.UUID(asked)) is state
    return Trial(bench, await bench.row(asked))


async def state_of(workbench: Workbench, generation_id: uuid.UUID) -> State:
    """The one state whose condition holds."""
    async with workbench.resources.database.transaction() as tx:
        holding = [
            state
            for state, condition in CONDITIONS.items()
            if await tx.fetchval(f"SELECT {condition} FROM generations WHERE id = $1", generation_id)
        ]
    (state,) = holding
    return state
