import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import ExitStack, aclosing, contextmanager, suppress
from io import FileIO
from pathlib import Path
from uuid import uuid4

from app.storage.chunks import Tally, in_parts, measure, span
from app.storage.object_paths import check_path
from app.storage.protocol import ByteRange, ObjectMissingError, Stored, StoreError
from app.storage.threads import Threads

CHUNK_SIZE = 1024**2
THREADS = 8
INCOMING = ".incoming"
LEFTOVER_SECONDS = 24 * 3600


class LocalStore:
    """Stores objects as files in one folder, each at its own path."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / INCOMING
        self._threads = Threads(THREADS, errors=_os_errors)

    def file_path(self, path: str) -> Path:
        """The absolute path of the file of an object, whether it exists or not.

        Raises:
            ValueError: `path` cannot be the path of an object.
        """
        return self._root / check_path(path)

    async def write(self, path: str, chunks: AsyncIterable[bytes], *, media_type: str) -> Stored:  # noqa: ARG002 - protocol
        """See `ObjectStore.write`. The media type is not stored: the database has it."""
        target = self.file_path(path)
        part = self._incoming / f"{uuid4().hex}.part"
        try:
            stored = await self._receive(part, chunks)
            await self._threads.run(_publish, part, target)
        finally:
            await self._threads.run(part.unlink, missing_ok=True)
        return stored

    async def _receive(self, part: Path, chunks: AsyncIterable[bytes]) -> Stored:
        tally = Tally()
        with ExitStack() as stack:
            file = await self._threads.run(_create, stack, part)
            async with aclosing(in_parts(chunks, CHUNK_SIZE)) as pieces:
                async for piece in pieces:
                    await self._threads.run(_append, file, tally, piece)
            await self._threads.run(os.fsync, file)
        return tally.stored()

    async def verify(self, path: str) -> Stored:
        """See `ObjectStore.verify`."""
        return await measure(self.read(path), self._threads)

    async def read(self, path: str, byte_range: ByteRange | None = None) -> AsyncGenerator[bytes, None]:
        """See `ObjectStore.read`. An object that is replaced during the read is read to its end as it was."""
        target = self.file_path(path)
        first, remaining = span(byte_range)
        with ExitStack() as stack:
            file = await self._threads.run(_open_at, stack, target, first)
            while remaining > 0 and (chunk := await self._threads.run(file.read, min(CHUNK_SIZE, remaining))):
                remaining -= len(chunk)
                yield chunk

    async def delete(self, path: str) -> None:
        """See `ObjectStore.delete`."""
        await self._threads.run(_remove, self.file_path(path))

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
    with _os_errors():
        _ensure_folder(root / INCOMING)
        _remove_leftovers(root / INCOMING)
    return LocalStore(root)


@contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{StoreError.message}: {error.strerror or type(error).__name__}") from error


def _remove_leftovers(incoming: Path) -> None:
    oldest = time.time() - LEFTOVER_SECONDS
    for part in incoming.glob("*.part"):
        with suppress(FileNotFoundError):  # another process may remove it too
            if part.stat().st_mtime < oldest:
                part.unlink()


def _create(stack: ExitStack, part: Path) -> FileIO:
    _ensure_folder(part.parent)
    return stack.enter_context(part.open("xb", buffering=0))


def _append(file: FileIO, tally: Tally, piece: bytes) -> None:
    tally.add(piece)
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def _publish(part: Path, target: Path) -> None:
    _ensure_folder(target.parent)
    part.replace(target)
    _sync_folder(target.parent)


def _ensure_folder(folder: Path) -> None:
    """Create the folder and its parents. Each new folder is synced to the disk before anything is put into it."""
    if folder.is_dir():
        return
    _ensure_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_at(stack: ExitStack, target: Path, first: int) -> FileIO:
    try:
        file = stack.enter_context(target.open("rb", buffering=0))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ObjectMissingError from error
    file.seek(first)
    return file


def _remove(target: Path) -> None:
    with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
        target.unlink()
