import errno
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import ExitStack, aclosing, contextmanager, suppress
from functools import partial
from io import FileIO
from pathlib import Path
from uuid import uuid4

from app.storage.chunks import Tally, in_parts, span
from app.storage.local_files import Folder, NotARegularFileError
from app.storage.object_paths import check_path
from app.storage.protocol import (
    PROBE,
    ByteRange,
    ObjectIsNoFileError,
    ObjectMissingError,
    Stored,
    StoreError,
    StoreFault,
)
from app.storage.threads import Threads

logger = logging.getLogger(__name__)

CHUNK_SIZE = 1024**2
THREADS = 8
INCOMING = ".incoming"
# All that the server itself puts into the root.
_OWN_FOLDERS = frozenset({INCOMING, "generation"})
PART = ".part"
LEFTOVER_SECONDS = 24 * 3600
# A disk with less free space than a few outputs need counts as full.
LEAST_FREE_BYTES = 64 * 1024**2

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_WRITABLE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ELOOP}
)


class LocalStore:
    """Stores objects as files in one folder, each at its own path. No symbolic link below the folder is followed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = Folder(root)
        self._threads = Threads(THREADS, errors=partial(_os_errors, root))
        self._prober = Threads(1, errors=partial(_os_errors, root))
        self._is_prepared = False

    def prepare(self) -> None:
        """Create the folder if it is missing, and remove what a crash left behind more than a day ago.

        Raises:
            StoreError: the folder cannot be created or written to.
        """
        with _os_errors(self._root):
            self._prepare()

    def _prepare(self) -> None:
        _ensure_folder(self._root)
        self._folder.ensure(INCOMING)
        try:
            self._folder.make_private(_OWN_FOLDERS)
        except (PermissionError, NotARegularFileError) as error:
            # Of another account, which may be meant so, or no folder at all. The rest can be used all the same.
            logger.warning("folder_not_private", extra={"reason": f"{self._root} (LOCAL_STORAGE_DIR): {error}"})
        self._folder.remove_older(INCOMING, PART, time.time() - LEFTOVER_SECONDS)
        self._is_prepared = True

    async def write(self, path: str, chunks: AsyncIterable[bytes], *, media_type: str) -> Stored:  # noqa: ARG002 - protocol
        """See `ObjectStore.write`. The media type is not stored: the database has it."""
        target = check_path(path)
        part = f"{INCOMING}/{uuid4().hex}{PART}"
        tally = Tally()
        try:
            with ExitStack() as stack:
                # Each call of a thread costs more than what is done in it for a small file.
                file: FileIO | None = None
                async with aclosing(in_parts(chunks, CHUNK_SIZE)) as pieces:
                    async for piece in pieces:
                        file = await self._threads.run(self._append, stack, part, file, tally, piece)
                await self._threads.run(self._publish, stack, part, file, target)
        except BaseException:  # raised again
            await self._threads.run(self._folder.remove, part)
            raise
        return tally.stored()

    def _append(self, stack: ExitStack, part: str, file: FileIO | None, tally: Tally, piece: bytes) -> FileIO:
        file = file or self._create(stack, part)
        tally.add(piece)
        rest = memoryview(piece)
        while rest:
            rest = rest[file.write(rest) :]
        return file

    def _publish(self, stack: ExitStack, part: str, file: FileIO | None, target: str) -> None:
        os.fsync(file or self._create(stack, part))
        self._folder.publish(part, target)

    def _create(self, stack: ExitStack, part: str) -> FileIO:
        return stack.enter_context(self._folder.create(part))

    async def verify(self, path: str) -> Stored:
        """See `ObjectStore.verify`."""
        tally = Tally()
        with ExitStack() as stack:
            file = await self._threads.run(self._begin_to_verify, stack, check_path(path), tally)
            while file is not None and await self._threads.run(_add_next, file, tally):
                pass
        return tally.stored()

    def _begin_to_verify(self, stack: ExitStack, path: str, tally: Tally) -> FileIO | None:
        """Open the file and add its beginning; None if that was all of it."""
        file = self._open_at(stack, path, 0)
        return file if _add_next(file, tally) else None

    async def read(self, path: str, byte_range: ByteRange | None = None) -> AsyncGenerator[bytes, None]:
        """See `ObjectStore.read`. An object that is replaced during the read is read to its end as it was."""
        first, remaining = span(byte_range)
        with ExitStack() as stack:
            file = await self._threads.run(self._open_at, stack, check_path(path), first)
            while remaining > 0 and (chunk := await self._threads.run(file.read, min(CHUNK_SIZE, remaining))):
                remaining -= len(chunk)
                yield chunk

    def _open_at(self, stack: ExitStack, path: str, first: int) -> FileIO:
        try:
            file = stack.enter_context(self._folder.open(path))
        except FileNotFoundError as error:
            raise ObjectMissingError from error
        except NotARegularFileError as error:
            # Nothing of ours makes one, so somebody else writes to the folder.
            logger.warning("object_is_no_file", extra={"path": path})
            raise ObjectIsNoFileError from error
        file.seek(first)
        return file

    async def delete(self, path: str) -> None:
        """See `ObjectStore.delete`."""
        await self._threads.run(self._folder.remove, check_path(path))

    async def probe(self) -> None:
        """See `ObjectStore.probe`. A folder that could not be created when the process started is created."""
        await self._prober.run(self._probe)

    def _probe(self) -> None:
        if not self._is_prepared:
            self._prepare()
        part = f"{INCOMING}/{uuid4().hex}{PART}"
        try:
            with self._folder.create(part) as file:
                file.write(PROBE)
                os.fsync(file)
            with self._folder.open(part) as file:
                if file.read() != PROBE:
                    raise StoreError(f"{self._root} (LOCAL_STORAGE_DIR) returns other bytes than were written")
        finally:
            self._folder.remove(part)
        disk = os.statvfs(self._root)
        if disk.f_bavail * disk.f_frsize < LEAST_FREE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def public_url(self, path: str) -> str | None:  # noqa: ARG002 - protocol
        """None: nothing but this server serves the folder."""
        return None

    async def presigned_url(self, path: str, *, filename: str) -> str | None:  # noqa: ARG002 - protocol
        """None: this server itself serves the files."""
        return None

    async def close(self) -> None:
        """See `ObjectStore.close`."""
        await self._threads.close()
        await self._prober.close()


def open_local_store(folder: Path) -> LocalStore:
    """A store in the folder, which is created if it is missing. If that fails, probes say why, and try again."""
    store = LocalStore(folder.resolve())
    with suppress(StoreError):
        store.prepare()
    return store


@contextmanager
def _os_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StoreError(f"{root} (LOCAL_STORAGE_DIR): {reason}", fault=_fault_of(error)) from error
    except NotARegularFileError as error:
        reason = f"{error} is not a folder"
        raise StoreError(f"{root} (LOCAL_STORAGE_DIR): {reason}", fault=StoreFault.NOT_WRITABLE) from error


def _fault_of(error: OSError) -> StoreFault:
    if error.errno in _FULL:
        return StoreFault.FULL
    return StoreFault.NOT_WRITABLE if error.errno in _NOT_WRITABLE else StoreFault.UNAVAILABLE


def _add_next(file: FileIO, tally: Tally) -> bool:
    """Add the next bytes of the file. False if they were the last."""
    left = CHUNK_SIZE
    while left and (read := file.read(left)):
        tally.add(read)
        left -= len(read)
    return not left


def _ensure_folder(folder: Path) -> None:
    """Create the folder and its parents. Each new folder is synced to the disk before anything is put into it."""
    if folder.is_dir():
        return
    _ensure_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
