"""Files below one folder, reached without following any symbolic link and opened only if they are regular files.

Each folder of a path is opened inside the one before it. So whoever can write to the folder can neither show a file
from elsewhere through it, nor have anything written or deleted elsewhere, nor stop a reader with a pipe or a device.
"""

import errno
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


# What is stored is for the account of the server, whatever its umask is.
_FILE_MODE, _FOLDER_MODE = 0o600, 0o700


class NotARegularFileError(Exception):
    """There is something else at the path: a symbolic link, a folder, a pipe, a socket or a device."""


class Folder:
    """The folder of a store. Paths are relative, and each of their segments is a plain name.

    `root` itself may be a symbolic link, or lie below one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, path: str) -> FileIO:
        """Open a file to read.

        Raises:
            FileNotFoundError: there is none.
            NotARegularFileError: it is not a regular file, or a segment before it is not a folder.
            OSError: it cannot be opened.
        """
        folder, name = _split(path)
        with self._opened(folder) as inside:
            _check_kind(name, inside)
            descriptor = os.open(name, _READ, dir_fd=inside)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # replaced after the check
            os.close(descriptor)
            raise NotARegularFileError(path)
        return FileIO(descriptor, "rb")

    def create(self, path: str) -> FileIO:
        """Create a file to write, and its folders. It must not exist.

        Raises:
            NotARegularFileError: a segment before it is not a folder.
            OSError: it cannot be created.
        """
        folder, name = _split(path)
        with self._opened(folder, is_created=True) as inside:
            return FileIO(os.open(name, _CREATE, _FILE_MODE, dir_fd=inside), "wb")

    def publish(self, temporary: str, path: str) -> None:
        """Move a file to its path, and replace what is there unless it is a folder.

        Raises:
            NotARegularFileError: a segment before it is not a folder.
            OSError: it cannot be moved.
        """
        source, name = _split(temporary)
        folder, new_name = _split(path)
        with self._opened(source) as inside, self._opened(folder, is_created=True) as target:
            os.rename(name, new_name, src_dir_fd=inside, dst_dir_fd=target)
            os.fsync(target)

    def remove(self, path: str) -> None:
        """Remove a file, or a symbolic link but not what it leads to. If there is none, nothing happens."""
        folder, name = _split(path)
        with suppress(FileNotFoundError, IsADirectoryError, NotARegularFileError), self._opened(folder) as inside:
            os.unlink(name, dir_fd=inside)

    def ensure(self, folder: str) -> None:
        """Create a folder if it is missing.

        Raises:
            NotARegularFileError: there is something else.
            OSError: it cannot be created.
        """
        with self._opened(folder.split("/"), is_created=True):
            pass

    def make_private(self, own: Collection[str]) -> None:
        """Close these folders to other accounts, and the root too if there is nothing else in it.

        Raises:
            PermissionError: one of them belongs to another account.
        """
        with self._opened([]) as root, os.scandir(root) as entries:
            found = {entry.name for entry in entries}
            for name in found.intersection(own):
                inside = _enter(name, root, is_created=False)
                os.fchmod(inside, _FOLDER_MODE)
                os.close(inside)
            if found.issubset(own):
                os.fchmod(root, _FOLDER_MODE)

    def remove_older(self, folder: str, suffix: str, moment: float) -> None:
        """Remove the files of a folder whose names end like this and that were last written before the moment.

        Args:
            folder: the path of the folder.
            suffix: how the names end.
            moment: seconds since 1970.
        """
        with self._opened(folder.split("/")) as inside, os.scandir(inside) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another process may remove it too
                    if entry.name.endswith(suffix) and entry.stat(follow_symlinks=False).st_mtime < moment:
                        os.unlink(entry.name, dir_fd=inside)

    @contextmanager
    def _opened(self, names: list[str], *, is_created: bool = False) -> Iterator[int]:
        """The descriptor of a folder below the root."""
        inside = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names:
                outer, inside = inside, _enter(name, inside, is_created=is_created)
                os.close(outer)
            yield inside
        finally:
            os.close(inside)


def _enter(name: str, outer: int, *, is_created: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=outer)
    except FileNotFoundError:
        if not is_created:
            raise
    except OSError as error:
        # A symbolic link is one of the two, depending on the system.
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise NotARegularFileError(name) from error
        raise
    with suppress(FileExistsError):  # another thread or process creates it too
        os.mkdir(name, _FOLDER_MODE, dir_fd=outer)
        # Each new folder is synced to the disk before anything is put into it.
        os.fsync(outer)
    return _enter(name, outer, is_created=False)


def _check_kind(name: str, inside: int) -> None:
    # Before it is opened, because opening a device may already do something.
    if not stat.S_ISREG(os.stat(name, dir_fd=inside, follow_symlinks=False).st_mode):
        raise NotARegularFileError(name)


def _split(path: str) -> tuple[list[str], str]:
    *folder, name = path.split("/")
    return folder, name
