"""Lanes work on all due rows, but never on more at the same time than their capacity allows."""

import asyncio
from dataclasses import dataclass, field

from app.core.errors import ServiceUnavailableError
from app.generations.claims import Claimed
from worker.process.lanes import Lanes


@dataclass
class Queue:
    """Rows that are due, and a record of the work on them."""

    due: list[str]
    claimed: list[list[str]] = field(default_factory=list)
    at_work: set[str] = field(default_factory=set)
    most_at_work: int = 0
    done: list[str] = field(default_factory=list)
    wakes: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def claim(self, limit: int) -> Claimed[str]:
        rows, self.due = self.due[:limit], self.due[limit:]
        self.claimed.append(rows)
        return Claimed(rows, is_final=len(rows) < limit)

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


async def test_all_due_rows_are_done_within_the_capacity() -> None:
    rows = [f"row {number}" for number in range(10)]
    queue = Queue(list(rows))
    queue.gate.set()

    lanes = lanes_of(queue, 3)
    await lanes.run()

    assert sorted(queue.done) == sorted(rows)
    assert queue.most_at_work == 3
    assert lanes.free == 3


async def test_a_second_wake_starts_new_rows_while_the_first_ones_still_run() -> None:
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


async def test_a_single_row_takes_a_single_claim() -> None:
    queue = Queue(["row"])
    queue.gate.set()

    await lanes_of(queue, 2).run()

    assert queue.claimed == [["row"]]


async def test_lanes_that_become_free_together_claim_together() -> None:
    queue = Queue([f"row {number}" for number in range(100)])
    queue.gate.set()

    await lanes_of(queue, 10).run()

    assert len(queue.done) == 100
    assert len(queue.claimed) < 30


async def test_capacity_that_no_due_row_needs_is_free_at_once() -> None:
    queue = Queue(["row"])
    lanes = lanes_of(queue, 3)
    running = asyncio.create_task(lanes.run())
    await until_at_work(queue, {"row"})

    assert lanes.free == 2
    queue.gate.set()
    await running
    assert (lanes.free, queue.freed.is_set()) == (3, True)


async def test_other_workers_are_woken_if_there_may_be_more_due_rows() -> None:
    few, many = Queue(["row"]), Queue(["row 1", "row 2"])
    for queue in (few, many):
        queue.gate.set()
        await lanes_of(queue, 2).run()

    assert (few.wakes, many.wakes) == (0, 1)


async def test_a_row_that_fails_does_not_stop_the_others() -> None:
    queue = Queue(["broken", "whole"])
    queue.gate.set()

    lanes = lanes_of(queue, 1)
    await lanes.run()

    assert queue.done == ["broken", "whole"]
    assert (lanes.free, queue.freed.is_set()) == (1, True)


async def test_when_postgres_is_away_the_capacity_stays_free() -> None:
    queue = Queue([])

    async def refuse(_limit: int) -> Claimed[str]:
        raise ServiceUnavailableError

    lanes = Lanes(refuse, queue.work, 2, 60.0, queue.more_due, queue.freed)
    await lanes.run()

    assert lanes.free == 2


async def test_a_claim_that_fails_disturbs_no_other_lane() -> None:
    queue = Queue(["row 1", "row 2"])
    claims = 0

    async def claim(limit: int) -> Claimed[str]:
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


async def test_a_worker_that_stops_cancels_the_work_on_its_rows() -> None:
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


async def test_lanes_that_stop_end_the_rows_they_have_and_claim_no_more() -> None:
    queue = Queue(["first", "second", "third"])
    lanes = lanes_of(queue, 1)
    running = asyncio.create_task(lanes.run())
    await queue.changed.wait()

    lanes.stop()
    queue.gate.set()
    await running
    await lanes.run()

    assert queue.done == ["first"]
    assert queue.due == ["second", "third"]
    assert lanes.free == 0
