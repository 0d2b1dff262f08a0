"""The way of what is said, by itself: over HTTP a reader that goes mostly takes one more delta on its way out."""

import asyncio

from app.agents.runtime.events import Delta
from app.chat.turns.deltas import Deltas
from tests.waiting import PATIENCE

MANY = 1000


async def say(deltas: Deltas) -> None:
    for _ in range(MANY):
        await deltas.put(Delta({"content": "word"}))


async def read(deltas: Deltas) -> int:
    """How many deltas there are up to the end."""
    count = 0
    while await deltas.next() is not None:
        count += 1
    return count


async def test_a_slow_reader_is_waited_for_and_gets_everything() -> None:
    deltas = Deltas()
    saying = asyncio.create_task(say(deltas))
    saying.add_done_callback(lambda _: deltas.end())
    await asyncio.sleep(0)

    assert not saying.done()
    assert await read(deltas) == MANY


async def test_a_reader_that_goes_while_it_is_waited_for_is_waited_for_no_more() -> None:
    deltas = Deltas()
    saying = asyncio.create_task(say(deltas))
    await asyncio.sleep(0)

    deltas.drop()

    async with asyncio.timeout(PATIENCE):
        await saying


async def test_the_end_is_told_however_much_waits_to_be_read() -> None:
    deltas = Deltas()
    saying = asyncio.create_task(say(deltas))
    await asyncio.sleep(0)
    saying.cancel()

    deltas.end()

    assert 0 < await read(deltas) < MANY
