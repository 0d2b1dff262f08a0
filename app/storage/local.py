import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from io import FileIO
from pathlib import Path
from uuid import uuid4

from app.storage.chunks import Tally, in_parts, measure, span
from app.storage.local_files import Folder, NotARegularFileError
from app.storage.object_paths import check_path
from app.storage.protocol import ByteRange, ObjectIsNoFileError, ObjectMissingError, Stored, StoreError
from app.storage.threads import Threads

logger = logging.getLogger(__name__)

CHUNK_SIZE = 1024**2
THREADS = 8
INCOMING = ".incoming"
PART = ".part"
LEFTOVER_SECONDS = 24 * 3600


class LocalStore:
    """Stores objects as files in one folder, each at its own path. No symbolic link below the folder is followed."""

    def __init__(self, root: Path) -> None:
        self._folder = Folder(root)
        self._threads = Threads(THREADS, errors=_os_errors)

    async def write(self, path: str, chunks: AsyncIterable[bytes], *, media_type: str) -> Stored:  # noqa: ARG002 - protocol
        """See `ObjectStore.write`. The media type is not stored: the database has it."""
        target = check_path(path)
        part = f"{INCOMING}/{uuid4().hex}{PART}"
        try:
            stored = await self._receive(part, chunks)
            await self._threads.run(self._folder.publish, part, target)
        finally:
            await self._threads.run(self._folder.remove, part)
        return stored

    async def _receive(self, part: str, chunks: AsyncIterable[bytes]) -> Stored:
        tally = Tally()
        with ExitStack() as stack:
            file = await self._threads.run(self._create, stack, part)
            async with aclosing(in_parts(chunks, CHUNK_SIZE)) as pieces:
                async for piece in pieces:
                    await self._threads.run(_append, file, tally, piece)
            await self._threads.run(os.fsync, file)
        return tally.stored()

    def _create(self, stack: ExitStack, part: str) -> FileIO:
        return stack.enter_context(self._folder.create(part))

    async def verify(self, path: str) -> Stored:
        """See `ObjectStore.verify`."""
        return await measure(self.read(path), self._threads)

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

    def public_url(self, path: str) -> str | None:  # noqa: ARG002 - protocol
        """None: nothing but this server serves the folder."""
        return None

    async def presigned_url(self, path: str, *, filename: str) -> str | None:  # noqa: ARG002 - protocol
        """None: this server itself serves the files."""
        return None

    async def close(self) -> None:
        """See `ObjectStore.close`."""
        await self._threads.close()


def open_local_store(folder: Path) -> LocalStore:
    """Create the folder if it is missing, and remove what a crash left behind more than a day ago.

    Raises:
        StoreError: the folder cannot be created or written to.
    """
    root = folder.resolve()
    files = Folder(root)
    with _os_errors():
        _ensure_folder(root)
        files.ensure(INCOMING)
        files.remove_older(INCOMING, PART, time.time() - LEFTOVER_SECONDS)
    return LocalStore(root)


@contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{StoreError.message}: {error.strerror or type(error).__name__}") from error
    except NotARegularFileError as error:
        raise StoreError(f"{StoreError.message}: {error} is not a folder") from error


def _append(file: FileIO, tally: Tally, piece: bytes) -> None:
    tally.add(piece)
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def _ensure_folder(folder: Path) -> None:
    """Create the folder and its parents. Each new folder is synced to the disk before anything is put into it."""
    if folder.is_dir():
        return
    _ensure_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
