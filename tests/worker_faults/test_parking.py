"""Generations that wait for capacity of their organization are parked, and do not delay those of others.

No worker runs at this site: the tests run its steps themselves.
"""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.generations import parking
from tests import factories
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.plans import AT_ONCE, allow

_MODEL = "simulator/image"


@pytest.fixture
async def worker(workbench: Workbench) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(workbench.resources.settings) as opened:
        yield opened


async def test_only_as_many_are_due_as_may_run(busy: Workbench) -> None:
    asked = [await busy.ask(_MODEL) for _ in range(AT_ONCE + 3)]

    assert await unparked(busy, asked) == asked[:AT_ONCE]


async def test_a_retry_is_parked_like_a_first_attempt(busy: Workbench, worker: ManualWorker) -> None:
    asked = [await busy.ask(_MODEL) for _ in range(AT_ONCE)]
    failed = asked[0]
    await end(busy, worker, failed)
    asked.append(await busy.ask(_MODEL))

    await busy.retry(failed)

    assert (await busy.row(failed)).is_parked


async def test_a_parked_generation_is_not_claimed(busy: Workbench, worker: ManualWorker) -> None:
    asked = [await busy.ask(_MODEL) for _ in range(AT_ONCE + 1)]
    await busy.let_lease_run_out(asked[-1])

    await worker.sweep()
    await worker.steps.sweep.fill_capacity()

    assert (await busy.row(asked[-1])).is_parked
    assert await worker.claim_start(asked[-1]) is None


async def test_the_oldest_parked_generation_becomes_due_when_another_one_ends(
    busy: Workbench, worker: ManualWorker
) -> None:
    asked = [await busy.ask(_MODEL) for _ in range(AT_ONCE + 2)]
    await worker.start(asked[0])

    await end(busy, worker, asked[0])

    assert await unparked(busy, asked) == asked[: AT_ONCE + 1]


async def test_a_due_generation_without_free_capacity_is_parked(busy: Workbench, worker: ManualWorker) -> None:
    """This state also results from two simultaneous requests that do not see each other."""
    await allow(busy, AT_ONCE + 3)
    asked = [await busy.ask(_MODEL) for _ in range(AT_ONCE + 3)]
    await allow(busy, AT_ONCE)

    for content_id in asked:
        await worker.start(content_id)

    rows = [await busy.row(content_id) for content_id in asked]
    assert [row.status for row in rows] == ["processing"] * AT_ONCE + ["pending"] * 3
    assert [row.is_parked for row in rows] == [False] * AT_ONCE + [True] * 3


async def test_capacity_that_a_changed_plan_adds_is_filled(busy: Workbench, worker: ManualWorker) -> None:
    """The plan allows more after the generations were parked."""
    asked = [await busy.ask(_MODEL) for _ in range(AT_ONCE + 3)]
    await allow(busy, AT_ONCE + 2)

    await worker.steps.sweep.fill_capacity()

    assert await unparked(busy, asked) == asked[: AT_ONCE + 2]


async def test_a_locked_organization_keeps_no_other_from_starting(busy: Workbench, worker: ManualWorker) -> None:
    """As when a worker sleeps amid a transaction."""
    others = replace(busy, organization=await factories.make_organization(busy.resources.database))
    older, younger = await busy.ask(_MODEL), await others.ask(_MODEL)

    async with busy.resources.database.transaction() as tx:
        await parking.lock_organization(tx, busy.organization.id)
        claimed = await worker.steps.start.claim(1000)

    assert younger in {str(attempt.generation_id) for attempt in claimed.rows}
    assert (await busy.row(older)).status == "pending"


async def test_a_lock_is_not_waited_for_without_end(busy: Workbench, worker: ManualWorker) -> None:
    late = await busy.ask(_MODEL)
    await busy.let_deadline_pass(late)

    async with busy.resources.database.transaction() as tx:
        await parking.lock_organization(tx, busy.organization.id)
        await worker.sweep()
        assert (await busy.row(late)).status == "pending"
    await worker.sweep()

    assert (await busy.row(late)).status == "failed"


async def end(workbench: Workbench, worker: ManualWorker, content_id: str) -> None:
    """Have the generation fail at its deadline."""
    await workbench.let_deadline_pass(content_id)
    await worker.sweep()
    assert (await workbench.row(content_id)).status == "failed"


async def unparked(workbench: Workbench, asked: list[str]) -> list[str]:
    """Those of these generations that are not parked, in the order in which they were requested."""
    return [content_id for content_id in asked if not (await workbench.row(content_id)).is_parked]
