"""One output of a prediction: from wherever it is into the store, and read back."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from app.core.database import Database
from app.generations import claims, outputs
from app.generations.attempts import ClaimedAttempt, StoredFile
from app.generations.media_types import SNIFF_BYTES, MediaType, sniff
from app.generations.outputs import ReservedOutput
from app.storage.protocol import ObjectStore
from worker.transfer.downloads import Downloader, DownloadInterruptedError, DownloadRefusedError, check_size
from worker.transfer.sources import Inline, Source


class NotStoredAsSentError(DownloadInterruptedError):
    """What was read back from the store is not what was sent to it."""


class AttemptLostError(Exception):
    """The attempt has ended, or another worker copies it."""


@dataclass(frozen=True)
class OutputCopier:
    """Copies outputs into the store. The lease of an attempt is renewed before another type of it is stored."""

    database: Database
    store: ObjectStore
    downloader: Downloader
    lease: timedelta
    max_bytes: int

    async def copy(
        self, attempt: ClaimedAttempt, position: int, source: Source, touched: list[ReservedOutput]
    ) -> StoredFile:
        """Bring one output into the store, in bounded memory, and read it back.

        The path is reserved before the first byte is written. Run again, it writes the same object again.

        Args:
            attempt: the attempt.
            position: which of its outputs this is, from 0.
            source: where the bytes are.
            touched: the object is added to it before it is written.

        Returns:
            What was read back.

        Raises:
            DownloadRefusedError: the output cannot be had.
            DownloadInterruptedError, StoreError: it may be had the next time.
            AttemptLostError: it is no longer this worker's to copy.
        """
        async with aclosing(self._bytes_of(source)) as chunks:
            head = await _read_head(chunks)
            known = source.media_type if isinstance(source, Inline) else None
            media = known or sniff(head[:SNIFF_BYTES])
            reserved = await self._reserve(attempt, position, media)
            touched.append(reserved)
            sent = await self.store.write(reserved.storage_path, _joined(head, chunks), media_type=media.media_type)
        stored = await self.store.verify(reserved.storage_path)
        if stored != sent:
            raise NotStoredAsSentError(f"the store holds {stored.size} bytes of {sent.size}")
        return StoredFile(reserved.storage_path, media.content_type, stored.size, stored.sha256)

    async def remove_strays(self, touched: Sequence[ReservedOutput]) -> None:
        """Delete what was written for an attempt that was tidied up meanwhile: no row names it any more."""
        for output in touched:
            async with self.database.transaction() as tx:
                is_known = await outputs.is_reserved(tx, output.storage_path)
            if not is_known:
                await self.store.delete(output.storage_path)

    async def _reserve(self, attempt: ClaimedAttempt, position: int, media: MediaType) -> ReservedOutput:
        key = (attempt.generation_id, attempt.number)
        async with self.database.transaction() as tx:
            reserved = await outputs.reserve(tx, attempt, position, media)
            if reserved is not None:
                return reserved
            # An earlier run of this attempt took the bytes for another type. That object goes first, unless that run
            # has completed the attempt with it.
            other = await outputs.find(tx, *key, position)
            is_ours = await claims.renew(tx, *key, self.lease)
        if other is None or not is_ours:
            raise AttemptLostError("the attempt has moved on")
        await self.store.delete(other.storage_path)
        async with self.database.transaction() as tx:
            await outputs.release(tx, other)
            reserved = await outputs.reserve(tx, attempt, position, media)
        if reserved is None:
            raise AttemptLostError("another worker stores this output")
        return reserved

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
    """The first bytes, enough to tell the type from; fewer if there are no more."""
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
