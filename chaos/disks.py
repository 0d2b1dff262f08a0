"""A file system of its own for a store, so that the folder on it can be slow. Only root can make one."""

import fcntl
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

# linux/fs.h. While a file system is frozen, whoever writes to it waits.
_FREEZE: Final = 0xC0045877
_THAW: Final = 0xC0045878
_BYTES = 1024**3
_FROZEN_SECONDS, _THAWED_SECONDS = 0.6, 0.1


class Disk:
    """A mounted file system that can be made slow: then it takes writes only now and then, for a moment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def slow_down(self) -> None:
        """Let writers wait, again and again."""
        self._is_over.clear()
        self._thread = threading.Thread(target=self._freeze_and_thaw, daemon=True)
        self._thread.start()

    def speed_up(self) -> None:
        """Let it be as fast as it is. If it is not slow, nothing happens."""
        if self._thread:
            self._is_over.set()
            self._thread.join()
            self._thread = None

    def _freeze_and_thaw(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            while not self._is_over.is_set():
                fcntl.ioctl(descriptor, _FREEZE, 0)
                self._is_over.wait(_FROZEN_SECONDS)
                fcntl.ioctl(descriptor, _THAW, 0)
                self._is_over.wait(_THAWED_SECONDS)
        finally:
            # It is thawed already, unless an exception came between.
            with suppress(OSError):
                fcntl.ioctl(descriptor, _THAW, 0)
            os.close(descriptor)


def can_be_mounted() -> bool:
    """Whether this process may mount a file system from a file."""
    return os.geteuid() == 0 and Path("/dev/loop-control").exists()


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """Make an empty file system in a file beside the folder, which stays, and mount it there during the block.

    Args:
        folder: where it is mounted. It must not exist.

    Raises:
        subprocess.CalledProcessError: it cannot be made or mounted.
    """
    image = folder.with_name(f"{folder.name}.img")
    folder.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(_BYTES)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    disk = Disk(folder)
    try:
        yield disk
    finally:
        disk.speed_up()
        # Lazily: a process that ended this moment may still have a file open.
        subprocess.run(["umount", "--lazy", folder], check=True)
