"""The worker's clocks go on whatever their steps do, and stop when they are told to."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.worker.workbench import Workbench
from worker.process.lifecycle import WorkerContext, open_worker
from worker.process.loops import repeat

_LONG = 3600.0


@pytest.fixture
async def context(workbench: Workbench) -> AsyncIterator[WorkerContext]:
    async with open_worker(workbench.resources.settings) as opened:
        yield opened


async def test_a_clock_that_is_woken_and_told_to_stop_at_once_stops(context: WorkerContext) -> None:
    steps = asyncio.Semaphore(0)
    wake = asyncio.Event()

    async def step(_context: WorkerContext) -> None:
        steps.release()

    clock = asyncio.create_task(repeat(step, context, pause=_LONG, wake=wake))
    await steps.acquire()
    await asyncio.sleep(0)
    wake.set()
    clock.cancel()

    done, _ = await asyncio.wait({clock}, timeout=10)
    assert done == {clock}
    assert clock.cancelled()


async def test_a_step_that_fails_is_taken_again(context: WorkerContext) -> None:
    steps = asyncio.Semaphore(0)

    async def failing_step(_context: WorkerContext) -> None:
        steps.release()
        raise ValueError("this step fails")

    clock = asyncio.create_task(repeat(failing_step, context, pause=0.001))
    for _ in range(3):
        await steps.acquire()
    clock.cancel()

    await asyncio.wait({clock})
    assert clock.cancelled()
