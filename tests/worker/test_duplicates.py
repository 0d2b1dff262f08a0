"""A wake may come many times, late, or while another one is processed: the work is done only once."""

import asyncio

from app.queue.protocol import WakeKind
from tests.worker.workbench import Workbench


async def send_many(workbench: Workbench, kind: WakeKind) -> None:
    """Send the wake ten times at once."""
    await asyncio.gather(*(workbench.resources.queue.send(kind) for _ in range(10)))


async def test_many_start_wakes_cause_one_start(workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/image")
    await send_many(workbench, WakeKind.START)

    ended = await workbench.until_ended(asked)
    await send_many(workbench, WakeKind.START)

    assert ended.status == "completed"
    assert await workbench.creations(asked) == [201]


async def test_many_copy_wakes_cause_one_copy_and_one_charge(workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/image--delivery-slow-1")
    await workbench.until_started(asked)
    await send_many(workbench, WakeKind.COPY)

    ended = await workbench.until_ended(asked)
    await send_many(workbench, WakeKind.COPY)

    assert ended.status == "completed"
    assert len(await workbench.charges(asked)) == 1
    assert len(await workbench.objects(asked)) == 1


async def test_many_generations_at_once_all_end_and_are_charged_once(workbench: Workbench) -> None:
    asked = await asyncio.gather(*(workbench.ask("simulator/text") for _ in range(30)))

    ended = await asyncio.gather(*(workbench.until_ended(content_id) for content_id in asked))

    assert {row.status for row in ended} == {"completed"}
    assert len({row.prediction_id for row in ended}) == 30
    assert [len(await workbench.charges(content_id)) for content_id in asked] == [1] * 30
    assert [await workbench.held(content_id) for content_id in asked] == [0] * 30
