"""The local store follows no symbolic link below its folder and opens nothing but regular files.

Somebody else who can write to the folder must not be able to show, change or delete files elsewhere through it, nor to
stop the readers of other objects.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from app.storage.local import CHUNK_SIZE, THREADS, LocalStore, open_local_store
from app.storage.protocol import ObjectIsNoFileError, StoreError
from tests.storage.bytestreams import read, read_all, write

SECRET = b"a file of the system"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder outside the store, with one file."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.png").write_bytes(SECRET)
    return elsewhere


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


@pytest.mark.parametrize("make", [os.mkfifo, make_socket, Path.mkdir], ids=["pipe", "socket", "folder"])
async def test_what_is_no_regular_file_is_not_there(
    local_store: LocalStore, folder: Path, make: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "image").mkdir()
    make(folder / "image" / "a.png")

    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(5):
            for reading in (read(local_store, "image/a.png"), local_store.verify("image/a.png")):
                with pytest.raises(ObjectIsNoFileError) as refusal:
                    await reading

    assert refusal.value.status == 404
    assert ("object_is_no_file", "image/a.png") in [
        (record.message, getattr(record, "path", None)) for record in caplog.records
    ]


async def test_a_pipe_does_not_keep_other_objects_from_being_read(local_store: LocalStore, folder: Path) -> None:
    await write(local_store, "a.png", b"content")
    os.mkfifo(folder / "pipe.png")

    async with asyncio.timeout(5):
        stuck = [asyncio.ensure_future(read(local_store, "pipe.png")) for _ in range(THREADS * 2)]
        assert await read(local_store, "a.png") == b"content"
        refusals = await asyncio.gather(*stuck, return_exceptions=True)

    assert {type(refusal) for refusal in refusals} == {ObjectIsNoFileError}


async def test_a_link_is_not_read(local_store: LocalStore, folder: Path, outside: Path) -> None:
    (folder / "a.png").symlink_to(outside / "a.png")
    (folder / "image").symlink_to(outside)
    (folder / "video").mkdir()
    (folder / "video" / "deep").symlink_to(outside)

    for path in ("a.png", "image/a.png", "video/deep/a.png"):
        with pytest.raises(ObjectIsNoFileError):
            await read(local_store, path)
        with pytest.raises(ObjectIsNoFileError):
            await local_store.verify(path)


async def test_nothing_is_written_through_a_linked_folder(local_store: LocalStore, folder: Path, outside: Path) -> None:
    (folder / "image").symlink_to(outside)

    with pytest.raises(StoreError, match="image is not a folder"):
        await write(local_store, "image/a.png", b"content")

    assert names_in(outside) == ["a.png"]
    assert (outside / "a.png").read_bytes() == SECRET
    assert names_in(folder / ".incoming") == []


async def test_no_temporary_file_is_written_through_a_link(
    local_store: LocalStore, folder: Path, outside: Path
) -> None:
    (folder / ".incoming").rmdir()
    (folder / ".incoming").symlink_to(outside)
    before, seen = names_in(outside), list[str]()

    async def watching() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(CHUNK_SIZE)
            seen.extend(names_in(outside))

    with pytest.raises(StoreError, match=r"\.incoming is not a folder"):
        await local_store.write("a.png", watching(), media_type="image/png")

    assert set(seen) <= set(before)
    assert names_in(outside) == before
    again = open_local_store(folder)
    with pytest.raises(StoreError, match=r"\.incoming is not a folder"):
        await again.probe()
    await again.close()


@pytest.mark.parametrize("make", [os.mkfifo, make_socket], ids=["pipe", "socket"])
async def test_what_is_no_regular_file_is_replaced_by_an_object(
    local_store: LocalStore, folder: Path, make: Callable[[Path], None]
) -> None:
    make(folder / "a.png")

    async with asyncio.timeout(5):
        await write(local_store, "a.png", b"content")

        assert await read(local_store, "a.png") == b"content"


async def test_a_link_is_replaced_by_an_object_and_its_target_stays(
    local_store: LocalStore, folder: Path, outside: Path
) -> None:
    (folder / "a.png").symlink_to(outside / "a.png")

    await write(local_store, "a.png", b"content")

    assert not (folder / "a.png").is_symlink()
    assert (outside / "a.png").read_bytes() == SECRET


async def test_nothing_is_deleted_through_a_link(local_store: LocalStore, folder: Path, outside: Path) -> None:
    (folder / "image").symlink_to(outside)
    (folder / "a.png").symlink_to(outside / "a.png")

    await local_store.delete("image/a.png")
    await local_store.delete("a.png")

    assert (outside / "a.png").read_bytes() == SECRET


def test_no_leftover_is_removed_through_a_link(folder: Path, outside: Path) -> None:
    old = outside / "old.part"
    old.write_bytes(b"half an object")
    os.utime(old, (0, 0))
    folder.mkdir()
    (folder / ".incoming").symlink_to(outside)

    with pytest.raises(StoreError):
        LocalStore(folder).prepare()

    assert old.exists()


async def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    """An operator may keep the objects on another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "objects").symlink_to(tmp_path / "disk")
    store = open_local_store(tmp_path / "objects")

    await write(store, "image/a.png", b"content")

    assert await read_all(store.read("image/a.png")) == b"content"
    await store.close()


def names_in(folder: Path) -> list[str]:
    """The names in a folder."""
    return [path.name for path in folder.iterdir()]
