"""What waits for its own organization is no work yet: it keeps no worker from the work of others.

No worker runs at this site: the tests take its steps themselves.
"""

import uuid
from collections.abc import AsyncIterator

import pytest

from app.generations.service import START_JOB
from app.queue.arq import queue_of
from tests.worker.workbench import Workbench
from tests.worker_faults.plans import AT_ONCE, allow
from worker.process.lifecycle import WorkerContext, open_worker
from worker.steps.start import start
from worker.steps.sweep import fill_places, sweep

_MODEL = "simulator/image"


@pytest.fixture
async def context(workbench: Workbench) -> AsyncIterator[WorkerContext]:
    async with open_worker(workbench.resources.settings) as opened:
        yield opened


async def test_only_as_many_jobs_are_sent_as_may_run(busy: Workbench) -> None:
    asked = [await busy.ask(_MODEL) for _ in range(AT_ONCE + 3)]

    assert await queued_jobs(busy, asked) == set(asked[:AT_ONCE])


async def test_what_waits_is_not_swept_into_the_queue(busy: Workbench, context: WorkerContext) -> None:
    asked = [await busy.ask(_MODEL) for _ in range(AT_ONCE + 1)]
    await busy.let_lease_run_out(asked[-1])

    await sweep(context)
    await fill_places(context)

    assert asked[-1] not in await queued_jobs(busy, asked)


async def test_the_first_that_waits_is_sent_when_one_ends(busy: Workbench, context: WorkerContext) -> None:
    asked = [await busy.ask(_MODEL) for _ in range(AT_ONCE + 2)]
    await start(context, uuid.UUID(asked[0]), 0)

    await end(busy, context, asked[0])

    assert await queued_jobs(busy, asked) == set(asked[: AT_ONCE + 1])


async def test_what_is_sent_though_there_is_no_place_waits(busy: Workbench, context: WorkerContext) -> None:
    """As two requests do that did not see each other."""
    await allow(busy, AT_ONCE + 3)
    asked = [await busy.ask(_MODEL) for _ in range(AT_ONCE + 3)]
    await allow(busy, AT_ONCE)

    for content_id in asked:
        await start(context, uuid.UUID(content_id), 0)

    rows = [await busy.row(content_id) for content_id in asked]
    assert [row.status for row in rows] == ["processing"] * AT_ONCE + ["pending"] * 3
    assert [row.is_parked for row in rows] == [False] * AT_ONCE + [True] * 3


async def test_places_that_nobody_fills_are_filled(busy: Workbench, context: WorkerContext) -> None:
    """As after a plan has come to allow more: no end tells of the places."""
    asked = [await busy.ask(_MODEL) for _ in range(AT_ONCE + 3)]
    await allow(busy, AT_ONCE + 2)

    await fill_places(context)

    assert await queued_jobs(busy, asked) == set(asked[: AT_ONCE + 2])


async def end(workbench: Workbench, context: WorkerContext, content_id: str) -> None:
    """Have the content fail, as at its deadline."""
    await workbench.let_deadline_pass(content_id)
    await sweep(context)
    assert (await workbench.row(content_id)).status == "failed"


async def queued_jobs(workbench: Workbench, asked: list[str]) -> set[str]:
    """Those of these contents for which a job stands in the queue."""
    jobs = [job.decode() for job in await workbench.resources.redis.zrange(queue_of(START_JOB), 0, -1)]
    return {content_id for content_id in asked if any(content_id in job for job in jobs)}
