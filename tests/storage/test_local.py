import asyncio
import os
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.settings import Settings
from app.storage.local import LocalStore, open_local_store
from app.storage.open import open_store
from app.storage.protocol import StoreError, StoreFault
from tests.programs import ROOT
from tests.storage.bytestreams import MB, in_chunks, noise, read, read_all, stored, write


async def test_the_settings_choose_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet" / "there"

    store = open_store(Settings.model_validate({"storage": "local", "local_storage_dir": folder}))
    await write(store, "a/b.txt", b"content")
    await store.close()

    assert (folder / "a" / "b.txt").read_bytes() == b"content"


async def test_a_relative_folder_stays_the_same_after_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_local_store(Path("objects"))
    monkeypatch.chdir("/")

    await write(store, "a.txt", b"content")
    await store.close()

    assert (tmp_path / "objects" / "a.txt").read_bytes() == b"content"


async def test_the_local_store_has_no_urls(local_store: LocalStore) -> None:
    assert local_store.public_url("a.png") is None
    assert await local_store.presigned_url("a.png", filename="a.png") is None


async def test_an_object_is_written_to_a_temporary_file_with_a_recognizable_name(
    local_store: LocalStore, folder: Path
) -> None:
    seen: list[Path] = []

    async def watching() -> AsyncIterator[bytes]:
        yield noise(2 * MB)
        seen.extend(files_in(folder))

    await local_store.write("a.bin", watching(), media_type="application/octet-stream")

    [part] = seen
    assert part.parent == folder / ".incoming"
    assert part.suffix == ".part"
    assert files_in(folder) == [folder / "a.bin"]


async def test_leftovers_of_a_crash_are_removed_after_a_day(tmp_path: Path) -> None:
    incoming = tmp_path / ".incoming"
    incoming.mkdir()
    old, young = incoming / "old.part", incoming / "young.part"
    for part, hours in ((old, 25), (young, 23)):
        part.write_bytes(b"half an obj")
        moment = time.time() - hours * 3600
        os.utime(part, (moment, moment))

    store = open_local_store(tmp_path)
    await store.close()

    assert not old.exists()
    assert young.exists()


async def test_a_reader_sees_the_old_object_to_its_end_if_it_is_replaced(local_store: LocalStore) -> None:
    before, after = noise(3 * MB), noise(4 * MB)
    await write(local_store, "a.bin", before)

    reading = local_store.read("a.bin")
    first = await anext(reading)
    await write(local_store, "a.bin", after)

    assert first + await read_all(reading) == before
    assert await read(local_store, "a.bin") == after


async def test_verify_detects_a_damaged_file(local_store: LocalStore, folder: Path) -> None:
    written = await write(local_store, "a.bin", noise(2 * MB))

    (folder / "a.bin").write_bytes(noise(MB))

    assert await local_store.verify("a.bin") == stored(noise(MB)) != written


async def test_an_error_of_the_file_system_is_a_store_error_and_nothing_is_stored(
    local_store: LocalStore, folder: Path
) -> None:
    with pytest.raises(StoreError, match="File name too long"):
        await local_store.write("a/" + "n" * 256, in_chunks(noise(MB)), media_type="image/png")

    assert files_in(folder) == []


async def test_the_folder_may_be_emptied_while_the_store_is_open(local_store: LocalStore, folder: Path) -> None:
    (folder / ".incoming").rmdir()

    await write(local_store, "a.bin", b"content")

    assert await read(local_store, "a.bin") == b"content"


async def test_a_folder_that_cannot_be_created_is_reported_by_the_probe_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = open_local_store(tmp_path / "file" / "objects")

    with pytest.raises(StoreError, match="File exists") as refused:
        await store.probe()
    (tmp_path / "file").unlink()
    await store.probe()
    await store.close()

    assert refused.value.fault == StoreFault.NOT_WRITABLE
    assert "LOCAL_STORAGE_DIR" in str(refused.value)


async def test_a_probe_leaves_nothing_behind(local_store: LocalStore, folder: Path) -> None:
    await local_store.probe()

    assert files_in(folder) == []


async def test_a_disk_that_takes_no_more_bytes_is_full(folder: Path) -> None:
    """The limit is the child's own: no file of it may grow, as on a full disk."""
    code = """
import asyncio, resource, sys
from pathlib import Path
from app.storage.local import open_local_store
from app.storage.probe import probe_store
store = open_local_store(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
print(asyncio.run(probe_store(store)).state)
"""
    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ended.stdout == "full\n"


def files_in(folder: Path) -> list[Path]:
    """Every file in the folder and below it."""
    return [path for path in folder.rglob("*") if path.is_file()]


def modes_in(folder: Path) -> dict[str, int]:
    """The permissions of a folder and of all that is in it, by path."""
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


async def test_other_accounts_can_read_nothing_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_local_store(tmp_path / "objects")
        await write(store, "generation/image/a.png", b"content")
        await store.close()
    finally:
        os.umask(before)

    assert modes_in(tmp_path / "objects") == {
        ".": 0o700,
        ".incoming": 0o700,
        "generation": 0o700,
        "generation/image": 0o700,
        "generation/image/a.png": 0o600,
    }


@pytest.mark.parametrize("others", [(), ("of-somebody-else",)])
async def test_a_folder_that_was_open_to_others_is_closed_when_a_process_starts(
    tmp_path: Path, others: tuple[str, ...]
) -> None:
    folder = tmp_path / "objects"
    for path in (folder, *(folder / name for name in ("generation", ".incoming", *others))):
        path.mkdir(mode=0o755)

    await open_local_store(folder).close()

    modes = modes_in(folder)
    assert (modes["generation"], modes[".incoming"]) == (0o700, 0o700)
    # A folder that others use too is theirs.
    assert modes["."] == (0o755 if others else 0o700)
    assert [modes[name] for name in others] == [0o755 for _ in others]
