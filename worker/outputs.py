from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing

from app.content import outputs
from app.content.media_types import SNIFF_BYTES, MediaType, sniff
from app.content.transitions import Generation
from app.resources import Resources
from app.storage.protocol import Stored
from worker.downloads import Downloader, DownloadInterruptedError
from worker.lifecycle import WorkerContext
from worker.sources import Inline, Source


class NotStoredAsSentError(DownloadInterruptedError):
    """What was read back from the store is not what was sent to it."""


async def copy_output(context: WorkerContext, generation: Generation, position: int, source: Source) -> MediaType:
    """Bring one output into the store, in bounded memory, and read it back.

    The path is reserved before the first byte is written. Run again, it writes the same object again.

    Returns:
        What the bytes are.

    Raises:
        DownloadRefusedError: the output cannot be had.
        DownloadInterruptedError, StoreError: it may be had the next time.
    """
    async with aclosing(_bytes_of(context.downloader, source)) as chunks:
        head = await _read_head(chunks)
        known = source.media_type if isinstance(source, Inline) else None
        media = known or sniff(head[:SNIFF_BYTES])
        path = await _reserve(context.resources, generation, position, media)
        sent = await context.resources.store.write(path, _joined(head, chunks), media_type=media.media_type)
    await _verify(context.resources, generation, position, path, sent)
    return media


async def _reserve(resources: Resources, generation: Generation, position: int, media: MediaType) -> str:
    async with resources.database.transaction() as tx:
        path = await outputs.reserve(tx, generation, position, media)
        other = None if path else await outputs.find_at(tx, generation.id, generation.attempt, position)
    if other is not None:
        # An earlier run of this attempt took the bytes for another type: that object is ours and goes first.
        await resources.store.delete(other.storage_path)
        async with resources.database.transaction() as tx:
            await outputs.release(tx, other)
            path = await outputs.reserve(tx, generation, position, media)
    if path is None:
        raise DownloadInterruptedError("another worker stores this output")
    return path


async def _verify(resources: Resources, generation: Generation, position: int, path: str, sent: Stored) -> None:
    stored = await resources.store.verify(path)
    if stored != sent:
        raise NotStoredAsSentError(f"the store holds {stored.size} bytes of {sent.size}")
    async with resources.database.transaction() as tx:
        await outputs.set_verified(tx, generation, position, size=stored.size, sha256=stored.sha256)


async def _bytes_of(downloader: Downloader, source: Source) -> AsyncGenerator[bytes]:
    if isinstance(source, Inline):
        yield source.data
        return
    async with aclosing(downloader.fetch(source.url)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _read_head(chunks: AsyncGenerator[bytes]) -> bytes:
    """The first bytes, enough to tell the type from; fewer where there are no more."""
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
