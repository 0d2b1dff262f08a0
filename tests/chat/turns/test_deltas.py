"""The queue of deltas on its own: over HTTP, a reader that leaves would mostly read one more delta first."""

import asyncio

from app.agents.runtime.events import Delta
from app.chat.turns.deltas import Deltas
from tests.waiting import PATIENCE

MANY = 1000
WORD = Delta({"content": "word"})


async def say(deltas: Deltas) -> None:
    for _ in range(MANY):
        await deltas.put([WORD])


async def read(deltas: Deltas) -> int:
    """Read to the end. Returns the number of deltas."""
    count, is_over = 0, False
    while not is_over:
        found, is_over = await deltas.next_ones(PATIENCE)
        count += len(found)
    return count


async def test_a_slow_reader_is_waited_for_and_gets_everything() -> None:
    deltas = Deltas()
    saying = asyncio.create_task(say(deltas))
    saying.add_done_callback(lambda _: deltas.end())
    await asyncio.sleep(0)

    assert not saying.done()
    assert await read(deltas) == MANY


async def test_the_turn_does_not_wait_for_a_reader_that_has_left() -> None:
    deltas = Deltas()
    saying = asyncio.create_task(say(deltas))
    await asyncio.sleep(0)

    deltas.drop()

    async with asyncio.timeout(PATIENCE):
        await saying


async def test_the_reader_gets_the_end_even_if_the_queue_is_full() -> None:
    deltas = Deltas()
    saying = asyncio.create_task(say(deltas))
    await asyncio.sleep(0)
    saying.cancel()

    deltas.end()

    assert 0 < await read(deltas) < MANY


async def test_what_is_there_is_read_at_once_in_order_and_without_waiting_for_more() -> None:
    deltas = Deltas()
    for number in range(5):
        await deltas.put([Delta({"content": str(number)})])

    first, is_over = await deltas.next_ones(PATIENCE)
    deltas.end()

    assert [delta.delta["content"] for delta in first] == ["0", "1", "2", "3", "4"]
    assert not is_over
    assert await deltas.next_ones(PATIENCE) == ([], True)


async def test_the_reader_waits_no_longer_than_it_said_and_goes_on_waiting() -> None:
    deltas = Deltas()

    assert await deltas.next_ones(0.01) == ([], False)

    waiting = asyncio.create_task(deltas.next_ones(PATIENCE))
    await asyncio.sleep(0.02)
    await deltas.put([WORD])

    assert await waiting == ([WORD], False)


async def test_what_has_come_at_once_is_taken_as_a_whole() -> None:
    deltas = Deltas()
    saying = asyncio.create_task(deltas.put([WORD] * MANY))
    await asyncio.sleep(0)

    assert not saying.done()
    assert await deltas.next_ones(PATIENCE) == ([WORD] * MANY, False)
    await saying
