"""What an attempt once had is never forgotten, and a response that comes late is still a fact.

No worker runs at this site, and no webhooks are sent: the tests run the steps themselves.
"""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from app.generations import claims, due
from app.generations.attempts import Attempt, ClaimedAttempt
from app.predictions.protocol import Prediction
from tests.core.sites import settings_of
from tests.vendors_simulator import VendorsSimulator
from tests.waiting import until
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.conftest import NewSite

_MODEL = "simulator/image--slow-600"


@pytest.fixture(scope="module")
async def site(make_site: NewSite) -> dict[str, str]:
    return await make_site(REPLICATE_CREATES_PER_MINUTE="100000")


@pytest.fixture
async def worker(site: dict[str, str]) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(settings_of(site)) as opened:
        yield opened


async def test_a_retry_never_adopts_the_prediction_of_the_attempt_before(
    workbench: Workbench, worker: ManualWorker
) -> None:
    """The retry's own create call was lost, and made nothing: only the first attempt's prediction fits it."""
    asked = await workbench.ask("simulator/image--fail")
    await worker.start(asked)
    await poll_until(workbench, worker, asked, "failed")
    (failed,) = await workbench.predictions(asked)
    await workbench.retry(asked)
    await lose_start(workbench, worker, asked)

    await worker.steps.adopt.run()

    row = await workbench.row(asked)
    assert (row.status, row.retry_count, row.prediction_id) == ("pending", 1, None)
    first, second = await history(workbench, asked)
    assert (first["prediction_id"], first["ending"]) == (failed["id"], "failed")
    assert "out of memory" in first["error_message"]
    assert (second["prediction_id"], second["ending"]) == (None, None)


async def test_each_attempt_keeps_its_prediction_and_its_end(workbench: Workbench, worker: ManualWorker) -> None:
    asked = await workbench.ask("simulator/image--fail-transient-e1000-1")
    await worker.start(asked)
    await poll_until(workbench, worker, asked, "failed")
    await workbench.retry(asked)
    await worker.start(asked)
    await poll_until(workbench, worker, asked, "processing", has_outcome=True)
    await worker.copy(asked)

    attempts = await history(workbench, asked)

    made = [prediction["id"] for prediction in await workbench.predictions(asked)]
    assert [(each["prediction_id"], each["ending"]) for each in attempts] == [
        (made[0], "failed"),
        (made[1], "completed"),
    ]
    assert all(each["started_at"] and each["ended_at"] for each in attempts)
    assert {each["organization_id"] for each in attempts} == {workbench.organization.id}
    assert {each["user_id"] for each in attempts} == {workbench.organization.user_id}
    assert attempts[1]["api_key_id"] is not None
    assert await calls(workbench, asked) == [("accepted", made[0]), ("accepted", made[1])]


async def test_a_late_response_is_used_by_the_worker_that_looks_for_the_prediction(
    workbench: Workbench, worker: ManualWorker, vendors: VendorsSimulator
) -> None:
    """The first worker slept while its create call was answered. Nobody needs the vendor's list, which fails."""
    asked = await workbench.ask(_MODEL)
    first = await lose_start(workbench, worker, asked)
    made = await create(worker, first)
    vendors.set_fault("list-500")
    try:
        await worker.steps.adopt.run()
        await worker.steps.acceptance.accept(first, made.id)
        assert (await workbench.row(asked)).prediction_id is None  # another worker has the claim
        await workbench.let_lease_run_out(asked)
        await worker.steps.adopt.run()
    finally:
        vendors.clear_faults()

    assert (await workbench.row(asked)).prediction_id == made.id
    assert await calls(workbench, asked) == [("accepted", made.id)]


async def test_a_late_response_is_used_by_the_next_start(workbench: Workbench, worker: ManualWorker) -> None:
    asked = await workbench.ask(_MODEL)
    first = await lose_start(workbench, worker, asked)
    await worker.steps.adopt.run()
    made = await create(worker, first)
    await worker.steps.acceptance.accept(first, made.id)
    assert (await workbench.row(asked)).status == "pending"

    await worker.start(asked)

    assert (await workbench.row(asked)).prediction_id == made.id
    assert len(await workbench.predictions(asked)) == 1


async def test_a_late_response_to_an_attempt_that_has_started_again_is_cancelled(
    workbench: Workbench, worker: ManualWorker
) -> None:
    asked = await workbench.ask(_MODEL)
    first = await lose_start(workbench, worker, asked)
    await worker.steps.adopt.run()
    second = await worker.claim_start(asked)
    assert second is not None
    late, used = await create(worker, first), await create(worker, second)
    await worker.steps.acceptance.accept(first, late.id)
    assert await status_of(worker, late) != "canceled"  # the second call is in flight: one of them is needed

    await worker.steps.acceptance.accept(second, used.id)

    assert (await workbench.row(asked)).prediction_id == used.id
    assert await status_of(worker, late) == "canceled"
    assert await status_of(worker, used) != "canceled"
    assert await calls(workbench, asked) == [("accepted", late.id), ("accepted", used.id)]


async def test_what_is_to_be_cancelled_is_cancelled_by_another_worker_after_a_crash(
    workbench: Workbench, worker: ManualWorker
) -> None:
    """The worker that ended the attempt was killed before it called the vendor."""
    asked = await workbench.ask(_MODEL)
    await worker.start(asked)
    await workbench.let_deadline_pass(asked)
    row = await workbench.row(asked)
    (late,) = [attempt for attempt in await find_late(worker) if attempt.generation_id == row.id]
    assert await worker.steps.ending.fail_late(late, "late", timedelta(0))
    (prediction,) = await workbench.predictions(asked)
    assert prediction["status"] != "canceled"

    await worker.steps.cancel.run()

    (prediction,) = await workbench.predictions(asked)
    assert prediction["status"] == "canceled"


async def test_a_stale_worker_changes_nothing(workbench: Workbench, worker: ManualWorker) -> None:
    """Whatever it had begun, another worker has claimed the start since."""
    asked = await workbench.ask(_MODEL)
    stale = await lose_start(workbench, worker, asked)
    async with worker.resources.database.transaction() as tx:
        await tx.execute("UPDATE generations SET claim = claim + 1 WHERE id = $1", uuid.UUID(asked))
    before = await snapshot(workbench, asked)

    made = await create(worker, stale)
    await worker.steps.acceptance.accept(stale, made.id)
    async with worker.resources.database.transaction() as tx:
        assert not await claims.postpone(tx, stale, timedelta(0), is_failure=False)
    assert not await worker.steps.ending.fail(stale, "stale")

    assert await snapshot(workbench, asked) == before


async def test_an_attempt_of_the_version_before_keeps_its_history_from_now_on(
    workbench: Workbench, worker: ManualWorker
) -> None:
    """That version writes neither attempts nor create calls."""
    asked = await workbench.ask("simulator/image--fail")
    await worker.start(asked)
    made = (await workbench.row(asked)).prediction_id
    for table in ("attempts", "create_calls"):
        await workbench.execute(f"DELETE FROM {table} WHERE generation_id = $1", asked)

    await poll_until(workbench, worker, asked, "failed")

    (only,) = await history(workbench, asked)
    assert (only["prediction_id"], only["ending"]) == (made, "failed")


async def test_the_deadline_is_counted_by_postgres(workbench: Workbench) -> None:
    row = await workbench.row(await workbench.ask(_MODEL))

    seconds = workbench.resources.settings.generation_deadline_seconds
    assert row.deadline_at - row.created_at == timedelta(seconds=seconds)


async def find_late(worker: ManualWorker) -> list[Attempt]:
    """What the sweeper would find."""
    async with worker.resources.database.transaction() as tx:
        return await due.find_late(tx, 1000, timedelta(0))


async def lose_start(workbench: Workbench, worker: ManualWorker, content_id: str) -> ClaimedAttempt:
    """Claim the content's start, and let the lease run out."""
    claimed = await worker.claim_start(content_id)
    assert claimed is not None
    await workbench.let_lease_run_out(content_id)
    return claimed


async def create(worker: ManualWorker, attempt: ClaimedAttempt) -> Prediction:
    """Send the attempt's create call, and do nothing with the response."""
    return await worker.resources.predictions.create(
        model=attempt.model, input=attempt.input, webhook=None, cancel_after=3600
    )


async def status_of(worker: ManualWorker, prediction: Prediction) -> str:
    """How far the prediction is at the vendor."""
    return (await worker.resources.predictions.get(prediction.id)).status


async def poll_until(
    workbench: Workbench, worker: ManualWorker, content_id: str, status: str, *, has_outcome: bool = False
) -> None:
    """Poll until the content has this status."""

    async def is_so() -> bool:
        await workbench.execute(
            "UPDATE generations SET due_at = now() WHERE id = $1 AND outcome IS NULL AND prediction_id IS NOT NULL",
            content_id,
        )
        await worker.steps.poll.run()
        row = await workbench.row(content_id)
        return row.status == status and (row.outcome is not None or not has_outcome)

    await until(is_so)


async def history(workbench: Workbench, content_id: str) -> list[dict[str, Any]]:
    """The rows of the content's attempts."""
    query = "SELECT * FROM attempts WHERE generation_id = $1 ORDER BY number"
    async with workbench.resources.database.transaction() as tx:
        return [dict(row) for row in await tx.fetch(query, uuid.UUID(content_id))]


async def calls(workbench: Workbench, content_id: str) -> list[tuple[str, str | None]]:
    """Result and prediction of each of the content's create calls."""
    query = "SELECT result, prediction_id FROM create_calls WHERE generation_id = $1 ORDER BY id"
    async with workbench.resources.database.transaction() as tx:
        return [(row["result"], row["prediction_id"]) for row in await tx.fetch(query, uuid.UUID(content_id))]


async def snapshot(workbench: Workbench, content_id: str) -> dict[str, Any]:
    """All columns of the content."""
    async with workbench.resources.database.transaction() as tx:
        row = await tx.fetchrow("SELECT * FROM generations WHERE id = $1", uuid.UUID(content_id))
    assert row is not None
    return dict(row)
