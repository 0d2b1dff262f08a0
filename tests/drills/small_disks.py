"""Disks of a few megabytes, which a test fills and empties. Only root can mount one."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CHUNK = bytes(64 * 1024)


class SmallDisk:
    """A mounted file system in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no byte of room."""
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while file.write(_CHUNK):
                pass

    def empty(self) -> None:
        """Give back the room that `fill` has taken."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """Mount an empty disk at the folder, which must not exist, during the block.

    Raises:
        subprocess.CalledProcessError: this process may not mount anything.
    """
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "drill", folder], check=True)
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a process that ended this moment may still have a file open.
        subprocess.run(["umount", "--lazy", folder], check=True)
