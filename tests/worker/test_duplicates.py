"""A job may come twice, late, or beside itself: what it does is done once."""

import asyncio
from datetime import timedelta

from app.core.clock import now
from app.generations.service import FINISH_JOB, START_JOB
from tests.worker.workbench import Workbench


async def send_many(workbench: Workbench, job: str, content_id: str) -> None:
    """The job ten times over, as ten sweeps would send it."""
    sends = [
        workbench.resources.queue.send(job, content_id, 0, due_at=now() + timedelta(seconds=number))
        for number in range(10)
    ]
    await asyncio.gather(*sends)


async def test_a_start_that_is_sent_many_times_is_made_once(workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/image")
    await send_many(workbench, START_JOB, asked)

    ended = await workbench.until_ended(asked)
    await send_many(workbench, START_JOB, asked)

    assert ended.status == "completed"
    assert await workbench.creations(asked) == [201]


async def test_an_end_that_is_sent_many_times_is_made_once(workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/image--delivery-slow-1")
    await workbench.until_started(asked)
    await send_many(workbench, FINISH_JOB, asked)

    ended = await workbench.until_ended(asked)
    await send_many(workbench, FINISH_JOB, asked)

    assert ended.status == "completed"
    assert len(await workbench.charges(asked)) == 1
    assert len(await workbench.objects(asked)) == 1


async def test_many_at_once_all_end_and_are_each_paid_once(workbench: Workbench) -> None:
    asked = await asyncio.gather(*(workbench.ask("simulator/text") for _ in range(30)))

    ended = await asyncio.gather(*(workbench.until_ended(content_id) for content_id in asked))

    assert {row.status for row in ended} == {"completed"}
    assert len({row.prediction_id for row in ended}) == 30
    assert [len(await workbench.charges(content_id)) for content_id in asked] == [1] * 30
    assert [await workbench.held(content_id) for content_id in asked] == [0] * 30
