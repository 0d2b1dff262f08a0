import asyncio
from collections.abc import AsyncIterator

import pytest

from app.storage.protocol import ByteRange, ObjectStore, StoreError
from tests.storage.bytestreams import MB, in_chunks, noise, read
from tests.storage.conftest import StoreOver
from tests.storage.faulty_s3 import FaultyS3

PATH = "generation/video/550e8400_20251206_103000.mp4"


async def write_20_mb(store: ObjectStore) -> None:
    await store.write(PATH, in_chunks(noise(20 * MB), MB), media_type="video/mp4")


@pytest.mark.parametrize(
    ("refused", "calls"),
    [
        ("create", ["create"]),
        ("part 1", ["create", "part 1", "abort"]),
        ("part 2", ["create", "part 1", "part 2", "abort"]),
        ("part 3", ["create", "part 1", "part 2", "part 3", "abort"]),
        ("complete", ["create", "part 1", "part 2", "part 3", "complete", "abort"]),
    ],
)
async def test_an_upload_that_is_refused_at_any_step_is_aborted(
    store_over: StoreOver, refused: str, calls: list[str]
) -> None:
    server = FaultyS3(refused=refused)
    store = store_over(server)

    with pytest.raises(StoreError, match="AccessDenied"):
        await write_20_mb(store)

    assert server.calls == calls


async def test_a_refused_abort_is_logged_and_the_first_error_is_raised(
    store_over: StoreOver, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield noise(9 * MB)
        raise TimeoutError("the vendor's")

    store = store_over(FaultyS3(refused="abort"))

    with pytest.raises(TimeoutError, match="the vendor's"):
        await store.write(PATH, failing(), media_type="video/mp4")

    assert [record.__dict__["key"] for record in caplog.records] == [PATH]


@pytest.mark.parametrize("held", ["create", "part 1", "part 3"])
async def test_a_cancelled_upload_is_aborted_after_the_running_request(store_over: StoreOver, held: str) -> None:
    server = FaultyS3(held=held)
    store = store_over(server)

    writing = asyncio.create_task(write_20_mb(store))
    await server.arrived.wait()
    for _ in range(3):  # a second cancellation must not interrupt the cleanup after the first
        writing.cancel()
        await asyncio.sleep(0)
    assert "abort" not in server.calls
    server.release.set()

    with pytest.raises(asyncio.CancelledError):
        await writing

    assert server.calls[-2:] == [held, "abort"]


@pytest.mark.parametrize("is_cancelled", [True, False], ids=["cancelled", "failing"])
async def test_if_the_source_fails_while_a_part_is_sent_the_abort_follows_that_part(
    store_over: StoreOver, *, is_cancelled: bool
) -> None:
    server = FaultyS3(held="part 1")
    store = store_over(server)

    async def ending() -> AsyncIterator[bytes]:
        yield noise(9 * MB)
        await server.arrived.wait()
        if not is_cancelled:
            raise TimeoutError
        await asyncio.Event().wait()

    writing = asyncio.create_task(store.write(PATH, ending(), media_type="video/mp4"))
    await server.arrived.wait()
    for _ in range(3 if is_cancelled else 0):  # the later cancellations arrive during the cleanup
        writing.cancel()
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)  # an abort that did not wait for the part would arrive before it
    server.release.set()

    with pytest.raises(asyncio.CancelledError if is_cancelled else TimeoutError):
        await writing
    assert server.calls == ["create", "part 1", "abort"]


async def test_an_upload_that_is_cancelled_while_it_completes_is_whole(store_over: StoreOver) -> None:
    server = FaultyS3(held="complete")
    store = store_over(server)

    writing = asyncio.create_task(write_20_mb(store))
    await server.arrived.wait()
    writing.cancel()
    server.release.set()

    with pytest.raises(asyncio.CancelledError):
        await writing

    assert server.calls[-1] == "complete"


async def test_one_part_is_gathered_while_another_is_sent_and_no_more(store_over: StoreOver) -> None:
    server = FaultyS3(held="part 1")
    asked_for = 0
    has_gathered = asyncio.Event()

    async def counting() -> AsyncIterator[bytes]:
        nonlocal asked_for
        async for chunk in in_chunks(noise(40 * MB), MB):
            asked_for += 1
            if asked_for == 16:
                has_gathered.set()
            yield chunk

    store = store_over(server)
    writing = asyncio.create_task(store.write(PATH, counting(), media_type="video/mp4"))
    await server.arrived.wait()
    await has_gathered.wait()
    for _ in range(100):
        await asyncio.sleep(0)
    assert asked_for == 16
    server.release.set()
    await writing

    assert asked_for == 40


@pytest.mark.parametrize(("first", "last"), [(0, 9), (17, 42), (1_500_000, 2_500_000), (3_000_000, 4_000_000)])
async def test_if_the_server_ignores_the_range_the_store_cuts_it_out(
    store_over: StoreOver, first: int, last: int
) -> None:
    content = noise(3_000_000)
    store = store_over(FaultyS3(content=content))

    assert await read(store, PATH, ByteRange(first, last)) == content[first : last + 1]


@pytest.mark.parametrize("cut_at", [0, 10, 2 * MB])
async def test_a_body_that_ends_early_is_a_store_error(store_over: StoreOver, cut_at: int) -> None:
    store = store_over(FaultyS3(content=noise(3 * MB), cut_at=cut_at))

    with pytest.raises(StoreError):
        await store.verify(PATH)


@pytest.mark.parametrize("page", ["<html><p>Welcome</html>", "<html></html>"], ids=["broken", "well-formed"])
async def test_a_server_that_does_not_speak_s3_is_a_store_error(store_over: StoreOver, page: str) -> None:
    store = store_over(FaultyS3(page=page))

    with pytest.raises(StoreError):
        await write_20_mb(store)
