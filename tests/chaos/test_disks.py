"""A slow disk lets its writers wait, loses nothing, and is as fast as before afterwards."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.disks import Disk, can_be_mounted, mounted
from chaos.stores import DiskStore
from chaos.strikes import Blow
from tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.skipif(not can_be_mounted(), reason="only root can make a disk of its own for a store")


class Writer(threading.Thread):
    """Writes one small file after the other until it is asked to stop."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self.written = 0
        self.is_over = threading.Event()

    def run(self) -> None:
        while not self.is_over.is_set():
            (self._folder / str(self.written)).write_bytes(b"data")
            self.written += 1

    def is_waiting(self) -> bool:
        """Whether the kernel lets it wait for a disk."""
        _, _, rest = Path(f"/proc/self/task/{self.native_id}/stat").read_text().rpartition(") ")
        return rest.startswith("D")

    def wait_for_another(self) -> None:
        before = self.written
        wait_until(lambda: self.written > before)

    def end(self) -> None:
        self.is_over.set()
        self.join(PATIENCE)
        assert not self.is_alive()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk") as disk:
        yield disk


def test_writers_wait_while_the_disk_is_slow_and_nothing_is_lost(disk: Disk) -> None:
    store = DiskStore(disk, list)
    store.objects.mkdir()
    writer = Writer(store.objects)
    writer.start()
    wait_until(lambda: writer.written)

    store.strike(Blow.SLOW)
    for _ in range(3):
        wait_until(writer.is_waiting)
        # It is slow, not stopped: some of the writes come through.
        writer.wait_for_another()
    store.heal()
    writer.end()

    assert {path.read_bytes() for path in store.objects.iterdir()} == {b"data"}
    assert len(list(store.objects.iterdir())) == writer.written


def test_a_disk_that_is_not_slow_can_be_sped_up(disk: Disk) -> None:
    disk.speed_up()

    (disk.folder / "file").touch()


def test_what_was_mounted_is_gone_at_the_end_even_if_it_was_slow(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        disk.slow_down()

    assert not (tmp_path / "disk").is_mount()


def test_a_folder_on_a_disk_can_be_blocked_too(disk: Disk) -> None:
    store = DiskStore(disk, list)
    store.objects.mkdir()

    store.strike(Blow.BLOCK)
    assert store.objects.is_file()

    store.heal()
    assert store.objects.is_dir()
