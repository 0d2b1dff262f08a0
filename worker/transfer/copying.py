"""One output of a prediction: from wherever it is into the store, and read back."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing

from app.generations import outputs, transitions
from app.generations.attempts import Generation, StoredFile
from app.generations.media_types import SNIFF_BYTES, MediaType, sniff
from app.generations.outputs import Reserved
from app.resources import Resources
from worker.process.lifecycle import WorkerContext
from worker.transfer.downloads import DownloadInterruptedError, DownloadRefusedError, check_size
from worker.transfer.sources import Inline, Source


class NotStoredAsSentError(DownloadInterruptedError):
    """What was read back from the store is not what was sent to it."""


class AttemptLostError(Exception):
    """The attempt has ended, or another worker copies it."""


async def copy_output(
    context: WorkerContext, generation: Generation, position: int, source: Source, touched: list[Reserved]
) -> StoredFile:
    """Bring one output into the store, in bounded memory, and read it back.

    The path is reserved before the first byte is written. Run again, it writes the same object again.

    Args:
        context: what the worker talks to.
        generation: the attempt.
        position: which of its outputs this is, from 0.
        source: where the bytes are.
        touched: the object is added before it is written.

    Returns:
        What was read back.

    Raises:
        DownloadRefusedError: the output cannot be had.
        DownloadInterruptedError, StoreError: it may be had the next time.
        AttemptLostError: it is not this worker's to copy any more.
    """
    store = context.resources.store
    async with aclosing(_bytes_of(context, source)) as chunks:
        head = await _read_head(chunks)
        known = source.media_type if isinstance(source, Inline) else None
        media = known or sniff(head[:SNIFF_BYTES])
        reserved = await _reserve(context, generation, position, media)
        touched.append(reserved)
        sent = await store.write(reserved.storage_path, _joined(head, chunks), media_type=media.media_type)
    stored = await store.verify(reserved.storage_path)
    if stored != sent:
        raise NotStoredAsSentError(f"the store holds {stored.size} bytes of {sent.size}")
    return StoredFile(reserved.storage_path, media.content_type, stored.size, stored.sha256)


async def remove_strays(resources: Resources, touched: Sequence[Reserved]) -> None:
    """Remove what was written for an attempt that had been tidied away meanwhile: nobody else knows of it."""
    for reserved in touched:
        async with resources.database.transaction() as tx:
            is_known = await outputs.is_reserved(tx, reserved.storage_path)
        if not is_known:
            await resources.store.delete(reserved.storage_path)


async def _reserve(context: WorkerContext, generation: Generation, position: int, media: MediaType) -> Reserved:
    key = (generation.id, generation.attempt)
    async with context.resources.database.transaction() as tx:
        reserved = await outputs.reserve(tx, generation, position, media)
        if reserved is not None:
            return reserved
        # An earlier run of this attempt took the bytes for another type. That object goes first, unless that run has
        # completed the attempt with it.
        other = await outputs.find_at(tx, *key, position)
        is_ours = await transitions.renew(tx, *key, context.lease)
    if other is None or not is_ours:
        raise AttemptLostError("the attempt has moved on")
    await context.resources.store.delete(other.storage_path)
    async with context.resources.database.transaction() as tx:
        await outputs.release(tx, other)
        reserved = await outputs.reserve(tx, generation, position, media)
    if reserved is None:
        raise AttemptLostError("another worker stores this output")
    return reserved


async def _bytes_of(context: WorkerContext, source: Source) -> AsyncGenerator[bytes]:
    if isinstance(source, Inline):
        if not source.data:
            raise DownloadRefusedError("the output is empty")
        check_size(len(source.data), context.resources.settings.max_output_bytes)
        yield source.data
        return
    async with aclosing(context.downloader.fetch(source.url)) as chunks:
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
