"""Several create calls whose responses were lost: their predictions are shared out, and only what is ours is cancelled.

No worker runs at this site, and no webhooks are sent: the tests run the steps themselves.
"""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.generations import create_calls
from app.generations.callbacks import webhook_url
from tests import factories
from tests.core.sites import settings_of
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.conftest import NewSite
from tests.worker_faults.lost_starts import (
    claim_start,
    claim_start_of,
    create,
    let_lost_calls_be_due,
    lose_start,
    prediction_of,
    state_of,
    status_of,
)


@pytest.fixture(scope="module")
async def site(make_site: NewSite) -> dict[str, str]:
    return await make_site(REPLICATE_CREATES_PER_MINUTE="100000")


@pytest.fixture
async def worker(site: dict[str, str]) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(settings_of(site)) as opened:
        yield opened


@pytest.fixture
async def other(workbench: Workbench) -> Workbench:
    """The workbench of another organization at the same site."""
    organization = await factories.make_organization(workbench.resources.database)
    return replace(workbench, organization=organization)


async def test_equal_predictions_are_shared_out_in_order_also_between_organizations(
    workbench: Workbench, other: Workbench, worker: ManualWorker
) -> None:
    """The worker was killed after the vendor had accepted four equal requests."""
    prompt = f"the same {uuid.uuid4()}"
    orphans = [await lose_start(bench, worker, prompt) for bench in (workbench, workbench, other, other)]
    made = [await create(worker, orphan) for orphan in orphans]

    await worker.steps.adopt.run()

    adopted = [await prediction_of(workbench, orphan) for orphan in orphans]
    assert adopted == [prediction.id for prediction in made]


async def test_those_that_got_no_prediction_are_started_again(
    workbench: Workbench, other: Workbench, worker: ManualWorker
) -> None:
    prompt = f"the same {uuid.uuid4()}"
    orphans = [await lose_start(bench, worker, prompt) for bench in (workbench, other, workbench)]
    made = [await create(worker, orphans[0]) for _ in range(2)]

    await worker.steps.adopt.run()

    states = [await state_of(workbench, orphan) for orphan in orphans]
    assert states == [("processing", made[0].id), ("processing", made[1].id), ("pending", None)]


async def test_a_prediction_that_turns_up_after_its_attempt_was_started_again_is_cancelled(
    workbench: Workbench, worker: ManualWorker
) -> None:
    first = await lose_start(workbench, worker)
    await worker.steps.adopt.run()
    await worker.start(str(first.generation_id))
    used = await prediction_of(workbench, first)
    late = await create(worker, first)

    await let_lost_calls_be_due(workbench, first)
    await worker.steps.adopt.run()

    assert await status_of(worker, late) == "canceled"
    assert (await worker.resources.predictions.get(used or "")).status != "canceled"
    assert await prediction_of(workbench, first) == used


async def test_the_prediction_of_an_attempt_that_has_ended_is_cancelled(
    workbench: Workbench, worker: ManualWorker
) -> None:
    orphan = await lose_start(workbench, worker)
    late = await create(worker, orphan)
    await workbench.let_deadline_pass(str(orphan.generation_id))
    await worker.sweep()

    await let_lost_calls_be_due(workbench, orphan)
    await worker.steps.adopt.run()

    assert await status_of(worker, late) == "canceled"


async def test_no_more_are_cancelled_than_calls_were_lost(workbench: Workbench, worker: ManualWorker) -> None:
    """The others belong to other software of the operator, which uses the same account."""
    orphan = await lose_start(workbench, worker)
    await worker.steps.adopt.run()
    await worker.start(str(orphan.generation_id))
    fitting = [await create(worker, orphan) for _ in range(3)]

    for _ in range(2):
        await let_lost_calls_be_due(workbench, orphan)
        await worker.steps.adopt.run()

    statuses = [await status_of(worker, prediction) for prediction in fitting]
    assert [status == "canceled" for status in statuses] == [True, False, False]


async def test_a_prediction_outside_of_the_window_of_every_lost_call_is_not_ours(
    workbench: Workbench, worker: ManualWorker
) -> None:
    """The call was lost ten minutes before the prediction was made."""
    orphan = await lose_start(workbench, worker)
    await worker.steps.adopt.run()
    await workbench.execute(
        "UPDATE create_calls SET sent_at = sent_at - interval '10 min', ended_at = ended_at - interval '10 min'"
        " WHERE generation_id = $1",
        str(orphan.generation_id),
    )
    foreign = await create(worker, orphan)

    await let_lost_calls_be_due(workbench, orphan)
    await worker.steps.adopt.run()

    assert await status_of(worker, foreign) != "canceled"
    assert await state_of(workbench, orphan) == ("pending", None)


async def test_nothing_is_decided_while_an_equal_call_is_in_flight(
    workbench: Workbench, other: Workbench, worker: ManualWorker
) -> None:
    """The one prediction may be that of the other organization's call, whose response is still to come."""
    prompt = f"the same {uuid.uuid4()}"
    orphan = await lose_start(workbench, worker, prompt)
    ended = await lose_start(workbench, worker, prompt)
    await workbench.let_deadline_pass(str(ended.generation_id))
    await worker.sweep()
    in_flight = await claim_start(other, worker, prompt)
    made = await create(worker, in_flight)

    await let_lost_calls_be_due(workbench, ended)
    await worker.steps.adopt.run()

    assert await status_of(worker, made) != "canceled"
    assert await state_of(workbench, orphan) == ("processing", None)

    await worker.steps.acceptance.accept(in_flight, made.id)
    await workbench.let_lease_run_out(str(orphan.generation_id))
    await let_lost_calls_be_due(workbench, ended)
    await worker.steps.adopt.run()

    assert await prediction_of(workbench, in_flight) == made.id
    assert await status_of(worker, made) != "canceled"
    assert await state_of(workbench, orphan) == ("pending", None)


async def test_nothing_is_cancelled_that_an_equal_orphan_may_adopt(
    workbench: Workbench, other: Workbench, worker: ManualWorker
) -> None:
    """Two calls were lost, of an attempt that has ended and of one whose lease has not."""
    prompt = f"the same {uuid.uuid4()}"
    ended, waiting = await lose_start(workbench, worker, prompt), await lose_start(other, worker, prompt)
    await workbench.let_deadline_pass(str(ended.generation_id))
    await worker.sweep()
    await worker.steps.adopt.run()
    assert await state_of(workbench, waiting) == ("pending", None)
    again = await claim_start_of(worker, waiting)
    await workbench.execute(
        "UPDATE create_calls SET result = 'lost', ended_at = now() WHERE generation_id = $1 AND result IS NULL",
        str(again.generation_id),
    )
    made = await create(worker, again)

    await let_lost_calls_be_due(workbench, ended)
    await worker.steps.adopt.run()
    assert await status_of(worker, made) != "canceled"

    await workbench.let_lease_run_out(str(again.generation_id))
    await worker.steps.adopt.run()
    assert await prediction_of(workbench, waiting) == made.id


async def test_of_two_predictions_that_name_one_attempt_the_second_is_cancelled(
    workbench: Workbench, worker: ManualWorker
) -> None:
    orphan = await lose_start(workbench, worker)
    first, second = [await create(worker, orphan, webhook=webhook_url("http://localhost:9", orphan)) for _ in range(2)]

    await worker.steps.adopt.run()

    assert await prediction_of(workbench, orphan) == first.id
    assert await status_of(worker, first) != "canceled"
    assert await status_of(worker, second) == "canceled"


async def test_a_prediction_that_names_an_ended_attempt_is_left_while_a_call_of_it_is_in_flight(
    workbench: Workbench, worker: ManualWorker
) -> None:
    """The response may still come. It says what the call has made, and the prediction is cancelled then."""
    in_flight = await claim_start(workbench, worker)
    made = await create(worker, in_flight, webhook=webhook_url("http://localhost:9", in_flight))
    await workbench.let_deadline_pass(str(in_flight.generation_id))
    await worker.sweep()
    # Another call makes the worker read the vendor's list.
    await lose_start(workbench, worker)

    await worker.steps.adopt.run()
    assert await status_of(worker, made) != "canceled"

    await worker.steps.acceptance.accept(in_flight, made.id)
    assert await status_of(worker, made) == "canceled"


async def test_a_prediction_with_a_wrong_nonce_is_never_cancelled(workbench: Workbench, worker: ManualWorker) -> None:
    """Its webhook names an attempt that has a prediction, but it is not one of ours."""
    orphan = await lose_start(workbench, worker)
    own = await create(worker, orphan)
    forged = replace(orphan, webhook_nonce="of-somebody-else")
    foreign = await create(worker, orphan, webhook=webhook_url("http://localhost:9", forged))

    await worker.steps.adopt.run()

    assert await prediction_of(workbench, orphan) == own.id
    assert await status_of(worker, foreign) != "canceled"


async def test_a_start_of_the_version_before_is_adopted_too(workbench: Workbench, worker: ManualWorker) -> None:
    """That version writes down neither attempts nor create calls."""
    orphan = await lose_start(workbench, worker)
    made = await create(worker, orphan)
    for table in ("attempts", "create_calls"):
        await workbench.execute(f"DELETE FROM {table} WHERE generation_id = $1", str(orphan.generation_id))

    await worker.steps.adopt.run()

    assert await prediction_of(workbench, orphan) == made.id


async def test_a_start_that_was_refused_by_a_worker_that_died_then_is_made_again(
    workbench: Workbench, worker: ManualWorker
) -> None:
    """It had written down that its call was refused, and not yet that the attempt is pending again."""
    orphan = await lose_start(workbench, worker)
    async with worker.resources.database.transaction() as tx:
        await create_calls.refuse(tx, orphan)

    await worker.steps.adopt.run()

    assert await state_of(workbench, orphan) == ("pending", None)


async def test_lost_calls_are_looked_for_less_and_less_often(workbench: Workbench, worker: ManualWorker) -> None:
    orphan = await lose_start(workbench, worker)
    await worker.steps.adopt.run()

    for age, is_due_again in (("10 min", True), ("2 h", False)):
        await workbench.execute(
            f"UPDATE create_calls SET ended_at = now() - interval '{age}', due_at = now() WHERE generation_id = $1",
            str(orphan.generation_id),
        )
        await worker.steps.adopt.run()
        async with workbench.resources.database.transaction() as tx:
            due_in = await tx.fetchval(
                "SELECT extract(epoch FROM due_at - now())::int FROM create_calls WHERE generation_id = $1",
                orphan.generation_id,
            )
        assert (due_in is not None) == is_due_again
        assert due_in is None or 500 < due_in <= 600
