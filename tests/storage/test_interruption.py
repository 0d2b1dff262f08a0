"""An object whose writing is interrupted can never be read, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.storage.bytestreams import MB, in_chunks, noise, read, stored, write
from tests.storage.conftest import StoreUnderTest

PATH = "generation/video/550e8400_20251206_103000.mp4"


class VendorError(Exception):
    pass


async def _failing_after(size: int) -> AsyncIterator[bytes]:
    async for chunk in in_chunks(noise(size)):
        yield chunk
    raise VendorError


@pytest.mark.parametrize("size", [0, 100, 20 * MB], ids=["at once", "within the first part", "within the third part"])
async def test_an_error_of_the_source_is_raised_and_nothing_is_stored(under_test: StoreUnderTest, size: int) -> None:
    with pytest.raises(VendorError):
        await under_test.store.write(PATH, _failing_after(size), media_type="video/mp4")

    assert under_test.files() == []


@pytest.mark.parametrize("size", [100, 20 * MB], ids=["small", "large"])
async def test_a_write_that_fails_leaves_the_existing_object_unchanged(under_test: StoreUnderTest, size: int) -> None:
    await write(under_test.store, PATH, b"the one before")

    with pytest.raises(VendorError):
        await under_test.store.write(PATH, _failing_after(size), media_type="video/mp4")

    assert await read(under_test.store, PATH) == b"the one before"
    assert len(under_test.files()) == 1


@pytest.mark.parametrize("size", [0, 100, 20 * MB], ids=["at once", "within the first part", "within the third part"])
async def test_a_cancelled_write_stores_nothing(under_test: StoreUnderTest, size: int) -> None:
    is_stalled = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        async for chunk in in_chunks(noise(size)):
            yield chunk
        is_stalled.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(under_test.store.write(PATH, stalling(), media_type="video/mp4"))
    await is_stalled.wait()
    writing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await writing
    assert under_test.files() == []


@pytest.mark.parametrize("chunk", [0, 7, 8, 9], ids=["first", "end of a part", "last", "after the last"])
async def test_a_write_cancelled_at_any_chunk_stores_the_whole_object_or_nothing(
    under_test: StoreUnderTest, chunk: int
) -> None:
    content = noise(9 * MB)

    async def cancelling() -> AsyncIterator[bytes]:
        for number in range(10):
            if number == chunk:
                _cancel_current_task()
            yield content[number * MB : (number + 1) * MB]

    writing = asyncio.create_task(under_test.store.write(PATH, cancelling(), media_type="video/mp4"))

    with pytest.raises(asyncio.CancelledError):
        await writing
    if under_test.files():
        assert await under_test.store.verify(PATH) == stored(content)


async def test_a_cancelled_read_leaves_the_store_usable(under_test: StoreUnderTest) -> None:
    content = noise(3 * MB)
    await write(under_test.store, PATH, content)

    async def cancelled_read() -> None:
        async for _ in under_test.store.read(PATH):
            _cancel_current_task()

    for _ in range(40):  # more than there are threads or connections
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(cancelled_read())

    assert await read(under_test.store, PATH) == content


def _cancel_current_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
