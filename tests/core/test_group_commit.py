"""What arrives together is written together, and nobody pays for the others: neither with time nor with errors."""

import asyncio
from collections.abc import Sequence

import pytest

from app.core.errors import ServiceUnavailableError
from app.core.group_commit import GroupCommit
from tests.waiting import until


class Book:
    """Writes lines in groups, each when it is allowed to. A line `bad` cannot be written, and its group neither."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.is_away = False
        self.commit: GroupCommit[str, str, str] = GroupCommit(self._write, self._write_alone)

    async def submit(self, *lines: str, key: str = "ours") -> list[str | BaseException]:
        return await asyncio.gather(*(self.commit.submit(key, line) for line in lines), return_exceptions=True)

    async def _write(self, key: str, lines: Sequence[str]) -> Sequence[str] | None:
        await self._record(lines)
        if "late" in lines:
            return None
        return [f"{key}: {line}" for line in lines]

    async def _write_alone(self, key: str, line: str) -> str:
        await self._record([line])
        return f"{key}: {line} alone"

    async def _record(self, lines: Sequence[str]) -> None:
        self.groups.append(list(lines))
        await self.may_write.wait()
        if self.is_away:
            raise ServiceUnavailableError
        if "bad" in lines:
            raise ValueError("bad")


async def until_groups(book: Book, count: int) -> None:
    async def are_begun() -> bool:
        return len(book.groups) >= count

    await until(are_begun)


async def test_what_arrives_in_one_turn_of_the_loop_is_written_at_once() -> None:
    book = Book()

    assert await book.submit("a", "b", "c") == ["ours: a", "ours: b", "ours: c"]
    assert book.groups == [["a", "b", "c"]]


async def test_nobody_waits_if_nobody_else_is_there() -> None:
    book = Book()
    book.may_write.clear()

    waiting = asyncio.create_task(book.submit("a"))
    for _ in range(5):
        await asyncio.sleep(0)

    assert book.groups == [["a"]]
    book.may_write.set()
    assert await waiting == ["ours: a alone"]


async def test_what_arrives_meanwhile_is_written_together_once_that_is_done() -> None:
    book = Book()
    book.may_write.clear()
    first = asyncio.create_task(book.submit("a"))
    await until_groups(book, 1)

    others = asyncio.create_task(book.submit("b", "c"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert book.groups == [["a"]]
    book.may_write.set()

    assert await others == ["ours: b", "ours: c"]
    assert await first == ["ours: a alone"]
    assert book.groups == [["a"], ["b", "c"]]


async def test_nobody_waits_long_for_what_is_being_written() -> None:
    book = Book()
    book.may_write.clear()
    first = asyncio.create_task(book.submit("a"))
    await until_groups(book, 1)
    others = asyncio.create_task(book.submit("b", "c"))

    await until_groups(book, 2)

    assert book.groups == [["a"], ["b", "c"]]
    book.may_write.set()
    assert (await first, await others) == (["ours: a alone"], ["ours: b", "ours: c"])


async def test_keys_do_not_wait_for_each_other() -> None:
    book = Book()
    book.may_write.clear()
    ours = asyncio.create_task(book.submit("a"))
    await until_groups(book, 1)
    theirs = asyncio.create_task(book.submit("b", key="theirs"))
    for _ in range(5):
        await asyncio.sleep(0)

    assert book.groups == [["a"], ["b"]]
    book.may_write.set()
    assert (await ours, await theirs) == (["ours: a alone"], ["theirs: b alone"])


async def test_one_that_fails_spoils_no_other() -> None:
    book = Book()

    first, bad, last = await book.submit("a", "bad", "b")

    assert (first, last) == ("ours: a alone", "ours: b alone")
    assert isinstance(bad, ValueError)
    assert book.groups == [["a", "bad", "b"], ["a"], ["bad"], ["b"]]


async def test_a_group_that_is_refused_is_written_one_by_one_in_the_order_of_arrival() -> None:
    book = Book()

    assert await book.submit("a", "late", "b") == ["ours: a alone", "ours: late alone", "ours: b alone"]
    assert book.groups == [["a", "late", "b"], ["a"], ["late"], ["b"]]


async def test_if_it_is_not_known_what_was_written_nothing_is_written_again_and_each_has_an_error_of_its_own() -> None:
    book = Book()
    book.is_away = True

    first, second = await book.submit("a", "b")

    assert isinstance(first, ServiceUnavailableError)
    assert isinstance(second, ServiceUnavailableError)
    assert first is not second
    assert book.groups == [["a", "b"]]


async def test_what_was_submitted_is_written_even_if_nobody_waits_for_it_any_more() -> None:
    book = Book()
    book.may_write.clear()
    leaving = asyncio.create_task(book.commit.submit("ours", "a"))
    staying = asyncio.create_task(book.commit.submit("ours", "b"))
    await until_groups(book, 1)

    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    book.may_write.set()

    assert await staying == "ours: b"
    assert book.groups == [["a", "b"]]


async def test_a_group_has_an_upper_bound() -> None:
    book = Book()
    lines = [str(number) for number in range(250)]

    assert await book.submit(*lines) == [f"ours: {line}" for line in lines]
    assert [len(group) for group in book.groups] == [100, 100, 50]
