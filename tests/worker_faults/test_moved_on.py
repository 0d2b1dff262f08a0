"""A worker that was delayed goes on after its attempt has changed: it changes nothing, and leaves nothing behind.

No worker runs at this site: the tests run the steps of several workers themselves, in the order that they need.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from app.core.clock import now
from app.generations import claims
from app.generations.attempts import ClaimedAttempt
from app.generations.callbacks import webhook_url
from app.predictions.protocol import Prediction
from tests.core.sites import settings_of
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench

_LOOK_SECONDS = 0.02
# Long enough for another worker to overtake the copy, and not much longer.
_COPY_SECONDS = 1
_SHORTEST_LEASE = "5"


@pytest.fixture
async def worker(site: dict[str, str], workbench: Workbench) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(workbench.resources.settings) as opened:
        yield opened


async def test_a_copy_of_an_attempt_that_has_ended_leaves_no_object(workbench: Workbench, worker: ManualWorker) -> None:
    asked = await until_ended_at_vendor(workbench, worker, f"simulator/image--delivery-slow-{_COPY_SECONDS}")
    copying = asyncio.create_task(worker.copy(asked))
    await workbench.until_copying(asked)

    # Meanwhile the attempt fails at its deadline, and its objects are removed from the store.
    await worker.steps.ending.fail(await begun(workbench, asked), "late")
    await workbench.let_writers_be_gone(asked)
    await worker.steps.sweep.remove_abandoned()
    assert not copying.done()
    assert await workbench.reserved(asked) == []
    await copying
    await worker.steps.sweep.remove_abandoned()

    assert (await workbench.row(asked)).error_message == "late"
    assert await workbench.objects(asked) == []
    assert await workbench.reserved(asked) == []
    assert await workbench.charges(asked) == []


async def test_two_copies_at_the_same_time_are_charged_once(workbench: Workbench, worker: ManualWorker) -> None:
    asked = await until_ended_at_vendor(workbench, worker, f"simulator/image--delivery-slow-{_COPY_SECONDS}")
    copying = asyncio.create_task(worker.copy(asked))
    await workbench.until_copying(asked)

    await workbench.let_lease_run_out(asked)
    await asyncio.gather(copying, worker.copy(asked))

    assert (await workbench.row(asked)).status == "completed"
    assert len(await workbench.charges(asked)) == 1
    await workbench.let_writers_be_gone(asked)
    await worker.steps.sweep.remove_abandoned()
    (path,) = await workbench.objects(asked)
    assert await workbench.stored(path) == await workbench.delivered(asked)


async def test_an_object_stored_after_its_attempt_has_ended_is_removed(
    workbench: Workbench, worker: ManualWorker
) -> None:
    asked = await until_ended_at_vendor(workbench, worker, f"simulator/image--delivery-slow-{_COPY_SECONDS}")
    copying = asyncio.create_task(worker.copy(asked))
    await workbench.until_copying(asked)
    await worker.steps.ending.fail(await begun(workbench, asked), "late")
    await copying

    await worker.steps.sweep.remove_abandoned()
    assert await workbench.reserved(asked) != []  # a worker may still write
    await workbench.let_writers_be_gone(asked)
    await worker.steps.sweep.remove_abandoned()

    assert await workbench.objects(asked) == []
    assert await workbench.reserved(asked) == []


async def test_a_copy_that_runs_at_its_deadline_is_completed(workbench: Workbench, worker: ManualWorker) -> None:
    asked = await until_ended_at_vendor(workbench, worker, f"simulator/image--delivery-slow-{_COPY_SECONDS}")
    copying = asyncio.create_task(worker.copy(asked))
    await workbench.until_copying(asked)

    await pass_deadline(workbench, asked, timedelta(minutes=4))
    await worker.sweep()
    await copying

    assert (await workbench.row(asked)).status == "completed"
    assert len(await workbench.charges(asked)) == 1


async def test_a_copy_that_runs_long_after_its_deadline_is_cancelled(
    workbench: Workbench, site: dict[str, str]
) -> None:
    async with open_manual_worker(settings_of({**site, "WORKER_LEASE_SECONDS": _SHORTEST_LEASE})) as worker:
        asked = await until_ended_at_vendor(workbench, worker, "simulator/image--delivery-stall")
        copying = asyncio.create_task(worker.copy(asked))
        await workbench.until_copying(asked)

        await pass_deadline(workbench, asked, timedelta(minutes=5))
        await worker.sweep()
        await copying

    row = await workbench.row(asked)
    assert (row.status, row.error_message) == ("failed", "The generation did not end by its deadline")
    assert await workbench.charges(asked) == []
    assert await workbench.held(asked) == 0


async def test_a_copy_that_is_interrupted_after_its_deadline_is_due_at_once(
    workbench: Workbench, worker: ManualWorker
) -> None:
    asked = await until_ended_at_vendor(workbench, worker, "simulator/image--delivery-slow-1--delivery-truncated")
    # With this many failures, it would be tried again only after about a minute.
    await workbench.execute("UPDATE generations SET failures = 20 WHERE id = $1", asked)
    copying = asyncio.create_task(worker.copy(asked))
    await workbench.until_copying(asked)

    await pass_deadline(workbench, asked, timedelta(0))
    await copying

    row = await workbench.row(asked)
    assert (row.status, row.failures) == ("processing", 21)
    assert row.due_at <= now()


async def test_no_copy_begins_after_the_deadline(workbench: Workbench, worker: ManualWorker) -> None:
    asked = await until_ended_at_vendor(workbench, worker, "simulator/image")
    await workbench.let_deadline_pass(asked)

    await worker.copy(asked)

    assert (await workbench.row(asked)).status == "processing"
    assert await workbench.reserved(asked) == []


async def test_a_new_start_is_not_undone_by_a_worker_that_looked_for_the_first_one(
    workbench: Workbench, worker: ManualWorker
) -> None:
    """Two workers look for a lost start. The slower one finds that nothing runs after a new start has been claimed."""
    asked = await workbench.ask("simulator/image")
    first = await begin(worker, asked)
    await postpone(worker, first)
    second = await begin(worker, asked)

    await postpone(worker, first)

    row = await workbench.row(asked)
    assert (row.status, row.started_at) == ("processing", second.started_at)


async def test_a_start_that_never_reached_the_vendor_is_made_again(workbench: Workbench, worker: ManualWorker) -> None:
    asked = await workbench.ask("simulator/image")
    await begin(worker, asked)
    await workbench.let_lease_run_out(asked)

    await worker.steps.adopt.run()

    assert (await workbench.row(asked)).status == "pending"


async def test_a_worker_that_slept_after_it_claimed_a_start_does_not_call_the_vendor(
    workbench: Workbench, worker: ManualWorker
) -> None:
    """Another worker may have found meanwhile that nothing runs, and started it."""
    asked = await workbench.ask("simulator/image")
    claimed = await begin(worker, asked)
    slept = replace(claimed, claimed_at=claimed.claimed_at - worker.steps.start.lease.total_seconds())

    await worker.steps.start.run(slept)
    assert await workbench.predictions(asked) == []

    await workbench.let_lease_run_out(asked)
    await worker.steps.adopt.run()
    assert (await workbench.row(asked)).status == "pending"


async def test_many_lost_starts_are_found_in_one_walk_through_the_list(
    workbench: Workbench, worker: ManualWorker
) -> None:
    asked = [await workbench.ask("simulator/image") for _ in range(5)]
    lost = [await create(worker, await begin(worker, content_id)) for content_id in asked]
    for content_id in asked:
        await workbench.let_lease_run_out(content_id)

    await worker.steps.adopt.run()

    rows = [await workbench.row(content_id) for content_id in asked]
    assert [row.prediction_id for row in rows] == [prediction.id for prediction in lost]


async def test_a_prediction_that_is_found_after_its_attempt_has_ended_is_cancelled(
    workbench: Workbench, worker: ManualWorker
) -> None:
    asked = await workbench.ask("simulator/image--slow-600")
    generation = await begin(worker, asked)
    late = await create(worker, generation)
    await worker.steps.ending.fail(generation, "late")

    await worker.steps.acceptance.accept(generation, late.id)

    assert [prediction["status"] for prediction in await workbench.predictions(asked)] == ["canceled"]
    assert (await workbench.row(asked)).prediction_id is None


async def test_the_second_of_two_predictions_for_one_attempt_is_cancelled(
    workbench: Workbench, worker: ManualWorker
) -> None:
    asked = await workbench.ask("simulator/image--slow-600")
    generation = await begin(worker, asked)
    first, second = await create(worker, generation), await create(worker, generation)

    await worker.steps.acceptance.accept(generation, first.id)
    await worker.steps.acceptance.accept(generation, second.id)
    await worker.steps.acceptance.accept(generation, first.id)

    status_of = {prediction["id"]: prediction["status"] for prediction in await workbench.predictions(asked)}
    assert status_of[second.id] == "canceled"
    assert status_of[first.id] != "canceled"


async def until_ended_at_vendor(workbench: Workbench, worker: ManualWorker, model: str) -> str:
    """A content whose prediction has ended, and whose outputs wait to be copied."""
    asked = await workbench.ask(model)
    await worker.start(asked)
    while (await workbench.row(asked)).outcome is None:
        await worker.steps.poll.run()
        await asyncio.sleep(_LOOK_SECONDS)
    return asked


async def pass_deadline(workbench: Workbench, content_id: str, ago: timedelta) -> None:
    """Let the deadline have passed `ago`, without ending the lease of a copy."""
    async with workbench.resources.database.transaction() as tx:
        await tx.execute(
            "UPDATE generations SET deadline_at = now() - $2::interval WHERE id = $1", uuid.UUID(content_id), ago
        )


async def begin(worker: ManualWorker, content_id: str) -> ClaimedAttempt:
    """Claim the content's start, as a worker does before it calls the vendor."""
    generation = await worker.claim_start(content_id)
    assert generation is not None
    return generation


async def postpone(worker: ManualWorker, generation: ClaimedAttempt) -> None:
    """Make the start pending again, as a worker does if it finds no prediction for it."""
    async with worker.resources.database.transaction() as tx:
        await claims.postpone(tx, generation, timedelta(0), is_failure=False)


async def begun(workbench: Workbench, content_id: str) -> ClaimedAttempt:
    """The content's current attempt, as the worker that claimed it knows it."""
    row = await workbench.row(content_id)
    others = {"generation_id", "number", "claimed_at", "time_left", "found_prediction_id", "origin"}
    names = set(ClaimedAttempt.__dataclass_fields__) - others
    values = {name: getattr(row, name) for name in names}
    return ClaimedAttempt(generation_id=row.id, number=row.retry_count, time_left=timedelta(hours=1), **values)


async def create(worker: ManualWorker, generation: ClaimedAttempt) -> Prediction:
    """Create its prediction at the vendor, without storing it in the database."""
    resources = worker.resources
    return await resources.predictions.create(
        model=generation.model,
        input=generation.input,
        webhook=webhook_url(worker.settings.public_url, generation),
        cancel_after=3600,
    )
