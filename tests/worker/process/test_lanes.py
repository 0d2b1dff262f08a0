"""Lanes work on what is due: no more at once than there is capacity, and all of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.core.errors import ServiceUnavailableError
from worker.process.lanes import Lanes


@dataclass
class Queue:
    """Rows that are due, and what became of them."""

    due: list[str]
    claimed: list[list[str]] = field(default_factory=list)
    at_work: set[str] = field(default_factory=set)
    most_at_work: int = 0
    done: list[str] = field(default_factory=list)
    wakes: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def claim(self, limit: int) -> Sequence[str]:
        rows, self.due = self.due[:limit], self.due[limit:]
        self.claimed.append(rows)
        return rows

    async def work(self, row: str) -> None:
        self.at_work.add(row)
        self.most_at_work = max(self.most_at_work, len(self.at_work))
        self.changed.set()
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
        finally:
            self.at_work.discard(row)
        self.done.append(row)
        if row.startswith("broken"):
            raise ValueError(row)

    async def more_due(self) -> None:
        self.wakes += 1


def lanes_of(queue: Queue, capacity: int) -> Lanes[str]:
    return Lanes(queue.claim, queue.work, capacity, 60.0, queue.more_due, queue.freed)


async def test_all_that_is_due_is_done_and_never_more_at_once_than_there_is_capacity() -> None:
    rows = [f"row {number}" for number in range(10)]
    queue = Queue(list(rows))
    queue.gate.set()

    lanes = lanes_of(queue, 3)
    await lanes.run()

    assert sorted(queue.done) == sorted(rows)
    assert queue.most_at_work == 3
    assert lanes.free == 3


async def test_a_second_wake_starts_what_came_meanwhile_beside_what_runs() -> None:
    queue = Queue(["first"])
    lanes = lanes_of(queue, 2)
    running = asyncio.create_task(lanes.run())
    await until_at_work(queue, {"first"})

    queue.due.append("second")
    second = asyncio.create_task(lanes.run())
    await until_at_work(queue, {"first", "second"})

    assert lanes.free == 0
    queue.gate.set()
    await asyncio.gather(running, second)
    assert lanes.free == 2


async def test_without_free_capacity_nothing_is_claimed() -> None:
    queue = Queue(["first"])
    lanes = lanes_of(queue, 1)
    running = asyncio.create_task(lanes.run())
    await until_at_work(queue, {"first"})
    queue.due.append("second")
    claims = len(queue.claimed)

    await lanes.run()

    assert len(queue.claimed) == claims
    queue.gate.set()
    await running
    assert queue.done == ["first", "second"]


async def test_what_may_be_too_much_for_one_worker_is_passed_on() -> None:
    few, many = Queue(["row"]), Queue(["row 1", "row 2"])
    for queue in (few, many):
        queue.gate.set()
        await lanes_of(queue, 2).run()

    assert (few.wakes, many.wakes) == (0, 1)


async def test_a_row_that_fails_keeps_no_other_from_its_turn() -> None:
    queue = Queue(["broken", "whole"])
    queue.gate.set()

    lanes = lanes_of(queue, 1)
    await lanes.run()

    assert queue.done == ["broken", "whole"]
    assert (lanes.free, queue.freed.is_set()) == (1, True)


async def test_when_postgres_is_away_the_capacity_stays_free() -> None:
    queue = Queue([])

    async def refuse(_limit: int) -> Sequence[str]:
        raise ServiceUnavailableError

    lanes = Lanes(refuse, queue.work, 2, 60.0, queue.more_due, queue.freed)
    await lanes.run()

    assert lanes.free == 2


async def test_a_claim_that_fails_disturbs_no_other_lane() -> None:
    queue = Queue(["row 1", "row 2"])
    claims = 0

    async def claim(limit: int) -> Sequence[str]:
        nonlocal claims
        claims += 1
        if claims > 1:
            raise ValueError("a row that cannot be read")
        return await queue.claim(limit)

    lanes = Lanes(claim, queue.work, 2, 60.0, queue.more_due, queue.freed)
    running = asyncio.create_task(lanes.run())
    await until_at_work(queue, {"row 1", "row 2"})
    queue.gate.set()
    await running

    assert sorted(queue.done) == ["row 1", "row 2"]
    assert lanes.free == 2


async def test_a_wake_that_finds_no_capacity_is_passed_on() -> None:
    queue = Queue(["first"])
    lanes = lanes_of(queue, 1)
    running = asyncio.create_task(lanes.run())
    await until_at_work(queue, {"first"})
    wakes = queue.wakes

    await lanes.run()

    assert queue.wakes == wakes + 1
    queue.gate.set()
    await running


async def test_every_row_is_let_go_in_its_own_time() -> None:
    """One lane that ends early must not cut what the others do last."""
    handed_over: list[str] = []
    queue = Queue([f"row {number}" for number in range(5)])
    connections = asyncio.Semaphore(2)

    async def work(row: str) -> None:
        queue.at_work.add(row)
        queue.changed.set()
        try:
            await asyncio.Event().wait()
        finally:
            async with connections:
                await asyncio.sleep(0.005)
            handed_over.append(row)

    lanes = Lanes(queue.claim, work, 5, 60.0, queue.more_due, queue.freed)
    running = asyncio.create_task(lanes.run())
    await until_at_work(queue, {f"row {number}" for number in range(5)})
    running.cancel()
    await asyncio.wait({running})

    assert sorted(handed_over) == [f"row {number}" for number in range(5)]


async def test_a_worker_that_stops_lets_its_rows_go() -> None:
    queue = Queue(["row 1", "row 2"])
    lanes = lanes_of(queue, 2)
    running = asyncio.create_task(lanes.run())
    await until_at_work(queue, {"row 1", "row 2"})

    running.cancel()
    await asyncio.wait({running})

    assert (queue.at_work, queue.done, lanes.free) == (set(), [], 2)


async def until_at_work(queue: Queue, rows: set[str]) -> None:
    async with asyncio.timeout(60):
        while queue.at_work != rows:
            await queue.changed.wait()
            queue.changed.clear()
