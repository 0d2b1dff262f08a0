import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from app.storage.protocol import ByteRange, ObjectMissingError, ObjectStore
from tests.storage.bytestreams import MB, in_chunks, noise, read, stored, write
from tests.storage.conftest import StoreUnderTest

PATH = "generation/image/550e8400_20251206_103000.png"


class TestObjectStore:
    """What each store promises."""

    @pytest.mark.parametrize("size", [0, 1, 65_537, 3 * MB], ids=["empty", "byte", "chunks", "megabytes"])
    async def test_an_object_is_read_as_it_was_written(self, store: ObjectStore, size: int) -> None:
        content = noise(size)

        written = await write(store, PATH, content)

        assert written == stored(content)
        assert await store.verify(PATH) == stored(content)
        assert await read(store, PATH) == content

    @pytest.mark.parametrize("size", [8 * MB, 20 * MB], ids=["one whole part", "two parts and a half"])
    async def test_a_large_object_in_odd_chunks_is_read_as_it_was_written(self, store: ObjectStore, size: int) -> None:
        content = noise(size)

        written = await store.write(PATH, in_chunks(content, 999_983), media_type="video/mp4")

        assert written == stored(content)
        assert await store.verify(PATH) == stored(content)

    async def test_one_chunk_may_be_larger_than_a_part(self, store: ObjectStore) -> None:
        content = noise(17 * MB)

        await store.write(PATH, in_chunks(content, len(content)), media_type="video/mp4")

        assert await store.verify(PATH) == stored(content)

    @pytest.mark.parametrize(
        ("first", "last"),
        [(0, 0), (0, 99), (17, 42), (99, 99), (50, 1000), (100, 200), (1000, 2000)],
    )
    async def test_a_range_ends_where_the_object_ends(self, store: ObjectStore, first: int, last: int) -> None:
        content = noise(100)
        await write(store, PATH, content)

        assert await read(store, PATH, ByteRange(first, last)) == content[first : last + 1]

    async def test_a_range_over_several_chunks(self, store: ObjectStore) -> None:
        content = noise(5 * MB)
        await write(store, PATH, content)

        assert await read(store, PATH, ByteRange(MB - 1, 4 * MB)) == content[MB - 1 : 4 * MB + 1]

    async def test_a_range_of_an_empty_object_is_empty(self, store: ObjectStore) -> None:
        await write(store, PATH, b"")

        assert await read(store, PATH, ByteRange(0, 10)) == b""

    @pytest.mark.parametrize("size", [100, 9 * MB], ids=["small", "large"])
    async def test_writing_replaces_an_existing_object(self, under_test: StoreUnderTest, size: int) -> None:
        await write(under_test.store, PATH, noise(9 * MB + 1))

        await write(under_test.store, PATH, noise(size))

        assert await under_test.store.verify(PATH) == stored(noise(size))
        assert len(under_test.files()) == 1

    async def test_of_two_concurrent_writes_to_one_path_one_wins(self, under_test: StoreUnderTest) -> None:
        contents = [noise(2 * MB), noise(3 * MB)]

        await asyncio.gather(*(write(under_test.store, PATH, content) for content in contents))

        assert await under_test.store.verify(PATH) in [stored(content) for content in contents]
        assert len(under_test.files()) == 1

    async def test_a_deleted_object_is_gone(self, under_test: StoreUnderTest) -> None:
        await write(under_test.store, PATH, b"content")

        await under_test.store.delete(PATH)

        assert under_test.files() == []
        with pytest.raises(ObjectMissingError):
            await under_test.store.verify(PATH)

    async def test_deleting_a_missing_object_is_no_error(self, store: ObjectStore) -> None:
        await store.delete(PATH)
        await store.delete("nowhere")

    @pytest.mark.parametrize("path", [PATH, "nowhere", "folder"])
    async def test_a_missing_object_has_its_own_error(self, store: ObjectStore, path: str) -> None:
        await write(store, "folder/object", b"content")

        with pytest.raises(ObjectMissingError):
            await read(store, path)
        with pytest.raises(ObjectMissingError):
            await read(store, path, ByteRange(0, 0))
        with pytest.raises(ObjectMissingError):
            await store.verify(path)

    @pytest.mark.parametrize(
        "path",
        ["Schöne Grüße/日本.png", "a b/c+d&e=f%20g?h#i~'(j)*", "e\u0301/\u00e9", "no-extension", "a/b/c/d/e/f/g.bin"],
    )
    async def test_a_path_may_hold_any_printable_character(self, under_test: StoreUnderTest, path: str) -> None:
        await write(under_test.store, path, path.encode())

        assert await read(under_test.store, path) == path.encode()
        assert under_test.paths() == [path]

    @pytest.mark.parametrize("path", ["../outside", "/outside"])
    async def test_a_path_that_could_leave_the_store_is_refused(self, under_test: StoreUnderTest, path: str) -> None:
        before = under_test.neighbours()

        with pytest.raises(ValueError, match="outside"):
            await write(under_test.store, path, b"content")
        with pytest.raises(ValueError, match="outside"):
            await read(under_test.store, path)
        with pytest.raises(ValueError, match="outside"):
            await under_test.store.verify(path)
        with pytest.raises(ValueError, match="outside"):
            await under_test.store.delete(path)
        assert under_test.neighbours() == before
        assert under_test.files() == []

    async def test_reading_may_be_stopped_early(self, store: ObjectStore) -> None:
        content = noise(5 * MB)
        await write(store, PATH, content)

        for _ in range(40):  # more than there are threads or connections
            async with aclosing(_as_generator(store.read(PATH))) as chunks:
                first = await anext(chunks)
            assert content.startswith(first)

        assert await store.verify(PATH) == stored(content)


async def _as_generator(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async for chunk in chunks:
        yield chunk
