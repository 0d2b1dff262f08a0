"""The worker's loops go on when their steps fail, and stop when they are told to stop."""

import asyncio
from contextlib import suppress
from functools import partial

import pytest

from app.core.concurrency import cancel_all
from worker.process.loops import Loop, LoopEndedError, Pulse, repeat, run_loops

_LONG = 3600.0


async def test_a_loop_that_is_woken_and_cancelled_at_the_same_time_stops() -> None:
    steps = asyncio.Semaphore(0)
    wake = asyncio.Event()

    async def step() -> None:
        steps.release()

    clock = asyncio.create_task(repeat(step, Pulse(), name="step", pause=_LONG, wake=wake))
    await steps.acquire()
    await asyncio.sleep(0)
    wake.set()
    clock.cancel()

    done, _ = await asyncio.wait({clock}, timeout=10)
    assert done == {clock}
    assert clock.cancelled()


async def test_a_step_that_fails_is_run_again() -> None:
    steps = asyncio.Semaphore(0)

    async def failing_step() -> None:
        steps.release()
        raise ValueError("this step fails")

    clock = asyncio.create_task(repeat(failing_step, Pulse(), name="step", pause=0.001))
    for _ in range(3):
        await steps.acquire()
    clock.cancel()

    await asyncio.wait({clock})
    assert clock.cancelled()


async def test_loops_run_until_they_are_stopped() -> None:
    pulse, stopping, came_round = Pulse(), asyncio.Event(), asyncio.Semaphore(0)

    async def step() -> None:
        came_round.release()

    running = asyncio.create_task(
        run_loops([Loop("one", partial(repeat, step, pulse, name="one", pause=0.001))], stopping)
    )
    for _ in range(3):
        await came_round.acquire()
    stopping.set()
    await running

    assert pulse.states() == {"one": True}


async def test_a_loop_that_fails_ends_all_loops_and_is_named_in_the_error() -> None:
    others_end = asyncio.Event()

    async def go_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            others_end.set()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("a defect")

    with pytest.raises(LoopEndedError, match="the loop broken has ended") as ended:
        await run_loops([Loop("whole", go_on), Loop("broken", fail)], asyncio.Event())

    assert isinstance(ended.value.__cause__, ValueError)
    assert others_end.is_set()


async def test_a_loop_that_returns_ends_all_loops() -> None:
    async def return_at_once() -> None:
        pass

    with pytest.raises(LoopEndedError, match="the loop short has ended"):
        await run_loops([Loop("short", return_at_once)], asyncio.Event())


async def test_a_task_that_drops_a_cancellation_is_cancelled_again() -> None:
    """Before Python 3.12, redis-py drops a cancellation that comes just as a command ends."""
    is_running = asyncio.Event()

    async def drop_the_first() -> None:
        is_running.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    task = asyncio.create_task(drop_the_first())
    await is_running.wait()

    await cancel_all([task])

    assert task.cancelled()
