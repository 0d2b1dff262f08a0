"""A store fails as it is told to, and works again afterwards."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.storage.local import open_local_store
from app.storage.protocol import StoreError
from chaos.stores import FolderStore, open_store
from chaos.strikes import Blow, StoreKind

PATH = "generation/image/a.png"
# Appends 100 kB to a file for each line that it reads, and says whether that went well.
_WRITER = """
import sys
for line in sys.stdin:
    try:
        with open(sys.argv[1], "ab", buffering=0) as file:
            assert file.write(bytes(100_000)) == 100_000
        print("written", flush=True)
    except (OSError, AssertionError):
        print("refused", flush=True)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.send_signal(signal.SIGKILL)


def write(process: "subprocess.Popen[str]") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_a_full_store_lets_no_file_of_its_writers_grow(tmp_path: Path, writer: "subprocess.Popen[str]") -> None:
    store = FolderStore(tmp_path / "objects", lambda: [writer.pid])
    assert write(writer) == "written"

    store.strike(Blow.FULL)
    assert write(writer) == "refused"

    store.heal()
    assert write(writer) == "written"


async def test_a_blocked_store_takes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data"

    with open_store(StoreKind.FOLDER, tmp_path, list) as store:
        objects = open_local_store(store.objects)
        try:
            await objects.write(PATH, chunks(), media_type="image/png")
            store.strike(Blow.BLOCK)
            with pytest.raises(StoreError):
                await objects.write("generation/image/b.png", chunks(), media_type="image/png")
            store.heal()
            await objects.write("generation/image/c.png", chunks(), media_type="image/png")
        finally:
            await objects.close()
    stored = {str(path.relative_to(store.objects)) for path in store.objects.rglob("*.png")}
    assert stored == {PATH, "generation/image/c.png"}


def test_healing_a_store_that_works_changes_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "objects", list)
    store.objects.mkdir()
    (store.objects / "a").touch()

    store.heal()

    assert (store.objects / "a").exists()
