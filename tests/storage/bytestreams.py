import random
from collections.abc import AsyncIterable, AsyncIterator
from functools import lru_cache
from hashlib import sha256

from app.storage.protocol import ByteRange, ObjectStore, Stored

MB = 1024**2


@lru_cache(maxsize=8)
def noise(size: int) -> bytes:
    """Pseudorandom bytes, always the same for a size, so that parts in a wrong order are noticed."""
    return random.Random(size).randbytes(size)


def stored(content: bytes) -> Stored:
    """What a store must return for this content."""
    return Stored(size=len(content), sha256=sha256(content).hexdigest())


async def in_chunks(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    """The content in chunks, as it would arrive from a vendor."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def read_all(chunks: AsyncIterable[bytes]) -> bytes:
    """All chunks, joined."""
    return b"".join([chunk async for chunk in chunks])


async def read(store: ObjectStore, path: str, byte_range: ByteRange | None = None) -> bytes:
    """The bytes of the object, or of a range of it."""
    return await read_all(store.read(path, byte_range))


async def write(store: ObjectStore, path: str, content: bytes) -> Stored:
    """Store the content under the path."""
    return await store.write(path, in_chunks(content), media_type="application/octet-stream")
