"""Copies one output of a prediction into the store, and reads it back."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from app.core.database import Database
from app.generations import outputs
from app.generations.attempts import ClaimedAttempt, StoredFile
from app.generations.media_types import SNIFF_BYTES, sniff
from app.generations.outputs import ReservedOutput
from app.storage.protocol import ObjectStore
from worker.transfer.downloads import Downloader, DownloadInterruptedError, DownloadRefusedError, check_size
from worker.transfer.reserving import Reservations
from worker.transfer.sources import Inline, Source


class NotStoredAsSentError(DownloadInterruptedError):
    """What was read back from the store is not what was sent to it."""


@dataclass(frozen=True)
class OutputCopier:
    """Copies outputs into the store. It deletes nothing there: only the sweeper does."""

    database: Database
    reservations: Reservations
    store: ObjectStore
    downloader: Downloader
    max_bytes: int

    async def copy(
        self, attempt: ClaimedAttempt, position: int, source: Source, touched: list[ReservedOutput]
    ) -> StoredFile:
        """Copy one output into the store, in bounded memory, and read it back.

        The path is reserved before the first byte is written. It is idempotent: run again, it writes the same object.

        Args:
            attempt: the attempt.
            position: which of its outputs this is, from 0.
            source: where the bytes are.
            touched: the object is appended to this list before it is written.

        Returns:
            What was read back.

        Raises:
            DownloadRefusedError: the output cannot be copied.
            DownloadInterruptedError, StoreError: another try may succeed.
            AttemptLostError: the attempt has ended, or another worker has claimed it.
        """
        async with aclosing(self._bytes_of(source)) as chunks:
            head = await _read_head(chunks)
            known = source.media_type if isinstance(source, Inline) else None
            media = known or sniff(head[:SNIFF_BYTES])
            reserved = await self.reservations.reserve(attempt, position, media)
            touched.append(reserved)
            sent = await self.store.write(reserved.storage_path, _joined(head, chunks), media_type=media.media_type)
        stored = await self.store.verify(reserved.storage_path)
        if stored != sent:
            raise NotStoredAsSentError(f"the store holds {stored.size} bytes of {sent.size}")
        return StoredFile(reserved.storage_path, media.content_type, stored.size, stored.sha256)

    async def keep_known(self, touched: Sequence[ReservedOutput]) -> None:
        """Make sure that these objects have rows, so that the sweeper finds them if no content needs them.

        If this worker slept while it wrote them, the sweeper may have removed their rows before they were there.
        """
        if touched:
            async with self.database.transaction() as tx:
                await outputs.reserve_again(tx, touched)

    async def _bytes_of(self, source: Source) -> AsyncGenerator[bytes]:
        if isinstance(source, Inline):
            if not source.data:
                raise DownloadRefusedError("the output is empty")
            check_size(len(source.data), self.max_bytes)
            yield source.data
            return
        async with aclosing(self.downloader.fetch(source.url)) as chunks:
            async for chunk in chunks:
                yield chunk


async def _read_head(chunks: AsyncGenerator[bytes]) -> bytes:
    """The first bytes, enough to detect the type; fewer if there are no more."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) >= SNIFF_BYTES:
            break
    return bytes(head)


async def _joined(head: bytes, chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    yield head
    async for chunk in chunks:
        yield chunk
