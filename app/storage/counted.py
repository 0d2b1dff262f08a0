"""An object store whose operations are counted, whichever adapter carries them out."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from time import monotonic

from app.core.metrics import STORE_BYTES, STORE_ERRORS, STORE_SECONDS
from app.core.span_names import Attribute, SpanName
from app.core.tracing import Span, spanning
from app.storage.protocol import ByteRange, ObjectMissingError, ObjectStore, Stored, StoreError

_SECONDS = {name: STORE_SECONDS.labels(name) for name in ("write", "verify", "read", "delete", "probe")}
_WRITTEN, _READ = STORE_BYTES.labels("written"), STORE_BYTES.labels("read")


class CountedStore:
    """Counts what an adapter does: how long it takes, how many bytes, and how it fails."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def write(self, path: str, chunks: AsyncIterable[bytes], *, media_type: str) -> Stored:
        """See `ObjectStore.write`. The time includes that of whatever makes the chunks."""
        with _counted("write") as span:
            stored = await self._store.write(path, chunks, media_type=media_type)
            _say_size(span, stored)
        _WRITTEN.inc(stored.size)
        return stored

    async def verify(self, path: str) -> Stored:
        """See `ObjectStore.verify`."""
        with _counted("verify") as span:
            stored = await self._store.verify(path)
            _say_size(span, stored)
        _READ.inc(stored.size)
        return stored

    async def read(self, path: str, byte_range: ByteRange | None = None) -> AsyncIterator[bytes]:
        """See `ObjectStore.read`. The time is that until the first chunk: the rest goes at the client's pace."""
        chunks = self._store.read(path, byte_range)
        try:
            with _counted("read"):
                chunk = await anext(chunks, None)
            while chunk is not None:
                _READ.inc(len(chunk))
                yield chunk
                with _failures("read"):
                    chunk = await anext(chunks, None)
        finally:
            # It has a file or a connection open.
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def delete(self, path: str) -> None:
        """See `ObjectStore.delete`."""
        with _counted("delete"):
            await self._store.delete(path)

    async def probe(self) -> None:
        """See `ObjectStore.probe`."""
        # Not traced: one probe is for all who wait for its finding.
        with _timed("probe"):
            await self._store.probe()

    def public_url(self, path: str) -> str | None:
        """See `ObjectStore.public_url`."""
        return self._store.public_url(path)

    async def presigned_url(self, path: str, *, filename: str) -> str | None:
        """See `ObjectStore.presigned_url`."""
        return await self._store.presigned_url(path, filename=filename)

    async def close(self) -> None:
        """See `ObjectStore.close`."""
        await self._store.close()


@contextmanager
def _counted(operation: str) -> Iterator[Span | None]:
    with spanning(SpanName.STORE, operation=operation) as span, _timed(operation):
        yield span


def _say_size(span: Span | None, stored: Stored) -> None:
    if span is not None:
        span.set({Attribute.BYTES: stored.size})


@contextmanager
def _timed(operation: str) -> Iterator[None]:
    began = monotonic()
    try:
        with _failures(operation):
            yield
    finally:
        _SECONDS[operation].observe(monotonic() - began)


@contextmanager
def _failures(operation: str) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        fault = "missing" if isinstance(error, ObjectMissingError) else error.fault
        STORE_ERRORS.labels(operation, fault).inc()
        raise
