"""Workers that are killed: a generation that was accepted still ends once, is charged once, and leaves nothing behind.

These workers have their own database, Redis key space and store, so that no other worker helps them.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest
from redis.asyncio import Redis

from devstack.process import Process
from tests import programs
from tests.core.sites import new_site
from tests.vendors_simulator import VendorsSimulator
from tests.waiting import PATIENCE
from tests.worker.manual_worker import open_manual_worker
from tests.worker.workbench import Workbench, open_workbench

_SLOW_COPY = "delivery-slow-60"
_NEXT = 1


class StartWorker(Protocol):
    def __call__(self) -> AbstractContextManager[Process]:
        """Runs a worker during the block."""
        ...


@pytest.fixture(scope="module")
async def site(environment: dict[str, str], run_folder: Path) -> dict[str, str]:
    return await new_site(environment, run_folder, redis_number=1)


@pytest.fixture
def start_worker(site: dict[str, str], run_folder: Path) -> StartWorker:
    return partial(programs.running_worker, site, run_folder / "crashing-worker.log")


@pytest.fixture
async def workbench(site: dict[str, str], vendors: VendorsSimulator) -> AsyncIterator[Workbench]:
    async with open_workbench(site, vendors) as opened:
        yield opened


async def check_it_ended_once(workbench: Workbench, asked: str) -> None:
    """Check that it is completed, with one prediction, one charge and one object in the store."""
    ended = await workbench.row(asked)
    assert (ended.status, ended.error_message) == ("completed", None)
    assert len(await workbench.predictions(asked)) == 1
    assert len(await workbench.charges(asked)) == 1
    assert await workbench.held(asked) == 0
    await workbench.let_writers_be_gone(asked)
    async with open_manual_worker(workbench.resources.settings) as worker:
        await worker.steps.sweep.remove_abandoned()
    (path,) = await workbench.objects(asked)
    assert await workbench.reserved(asked) == [path]
    assert await workbench.stored(path) == await workbench.delivered(asked)


async def test_work_of_a_killed_worker_is_taken_over_by_another(
    workbench: Workbench, start_worker: StartWorker
) -> None:
    """One generation is being copied, and the vendor has accepted the other one's create call without a response."""
    workbench.order_fault(_SLOW_COPY, nth=_NEXT)
    with start_worker() as killed:
        copied = await workbench.ask("simulator/image--big-2")
        started = await workbench.ask("simulator/image--create-accept-then-timeout")
        await workbench.until_copying(copied)
        await workbench.until_requested(started)
        killed.kill()
        killed.wait()
    assert (await workbench.row(copied)).status == "processing"
    assert await workbench.objects(copied) == []
    assert (await workbench.row(started)).prediction_id is None

    await workbench.let_lease_run_out(copied)
    await workbench.let_lease_run_out(started)
    with start_worker():
        await workbench.until_ended(copied)
        await workbench.until_ended(started)

    await check_it_ended_once(workbench, copied)
    await check_it_ended_once(workbench, started)
    assert len(await workbench.creations(started)) == 1


async def test_a_worker_that_is_stopped_hands_over_its_copy(workbench: Workbench, start_worker: StartWorker) -> None:
    workbench.order_fault(_SLOW_COPY, nth=_NEXT)
    with start_worker() as stopped:
        asked = await workbench.ask("simulator/image--big-2")
        await workbench.until_copying(asked)
        stopped.terminate()
        assert stopped.wait(PATIENCE) == 0

    with start_worker():
        await workbench.until_ended(asked)

    await check_it_ended_once(workbench, asked)


async def test_requested_generations_survive_a_flush_of_redis(
    workbench: Workbench, start_worker: StartWorker, site: dict[str, str]
) -> None:
    asked = [await workbench.ask("simulator/image") for _ in range(3)]
    async with Redis.from_url(site["REDIS_URL"]) as redis:
        assert await redis.dbsize() > 0
        await redis.flushall()

    with start_worker():
        for content_id in asked:
            await workbench.until_ended(content_id)

    for content_id in asked:
        await check_it_ended_once(workbench, content_id)


async def test_a_start_is_tried_again_after_the_vendor_denied_the_account(
    workbench: Workbench, start_worker: StartWorker, site: dict[str, str]
) -> None:
    with start_worker():
        asked = await workbench.ask("simulator/image--create-402-1")
        await workbench.until(asked, lambda row: row.failures == 1)
        assert await workbench.held(asked) > 0
        denial = await workbench.resources.vendor_budget.denial()
        assert denial is not None
        assert "insufficient credit" in denial[0]

        # As if the half minute in which nothing is started were over.
        async with Redis.from_url(site["REDIS_URL"]) as redis:
            await redis.flushdb()
        await workbench.until_ended(asked)

    await check_it_ended_once(workbench, asked)
    assert await workbench.creations(asked) == [402, 201]
