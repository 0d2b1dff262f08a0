"""Repairs run only if there is something to repair, and ask about it together."""

import asyncio

from app.generations.due import Work
from worker.process.looking import Look


async def test_only_what_has_work_is_done() -> None:
    done: list[Work] = []

    async def find() -> set[Work]:
        return {Work.ADOPT}

    async def do(work: Work) -> None:
        done.append(work)

    look = Look(find)
    for work in Work:
        await look.unless_idle(work, lambda work=work: do(work))()  # type: ignore[misc]

    assert done == [Work.ADOPT]


async def test_loops_that_come_round_together_look_once() -> None:
    looks = 0

    async def find() -> set[Work]:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)
        return set()

    async def nothing() -> None:
        pass

    look = Look(find)
    await asyncio.gather(*(look.unless_idle(work, nothing)() for work in Work))

    assert looks == 1


async def test_what_was_found_is_not_believed_for_ever() -> None:
    found: list[set[Work]] = [set(), {Work.CANCEL}]
    done = asyncio.Event()

    async def find() -> set[Work]:
        return found.pop(0)

    async def do() -> None:
        done.set()

    run = Look(find).unless_idle(Work.CANCEL, do)
    async with asyncio.timeout(10):
        while not done.is_set():
            await run()
            await asyncio.sleep(0.05)
