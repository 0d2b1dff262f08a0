import sys
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from hashlib import sha256

from app.storage.protocol import ByteRange, Stored
from app.storage.threads import Threads


class Tally:
    """Counts and hashes bytes."""

    def __init__(self) -> None:
        self._size = 0
        self._digest = sha256()

    def add(self, chunk: bytes) -> None:
        """Add the next bytes. Call it in a thread for large chunks: hashing 8 MB takes milliseconds."""
        self._size += len(chunk)
        self._digest.update(chunk)

    def stored(self) -> Stored:
        """The size and the hash of all bytes so far."""
        return Stored(size=self._size, sha256=self._digest.hexdigest())


async def in_parts(chunks: AsyncIterable[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """The same bytes in parts of exactly `size` bytes. Only the last may be shorter. No bytes give no parts."""
    part = bytearray()
    async for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            taken = size - len(part)
            part += rest[:taken]
            rest = rest[taken:]
            if len(part) == size:
                yield bytes(part)
                part = bytearray()
    if part:
        yield bytes(part)


async def measure(chunks: AsyncGenerator[bytes, None], threads: Threads) -> Stored:
    """Read everything, with no more than one chunk in memory, and return its size and hash."""
    tally = Tally()
    async with aclosing(chunks):
        async for chunk in chunks:
            await threads.run(tally.add, chunk)
    return tally.stored()


def span(byte_range: ByteRange | None) -> tuple[int, int]:
    """Where to start reading, and how many bytes to read at most."""
    if byte_range is None:
        return 0, sys.maxsize
    return byte_range.first, byte_range.last - byte_range.first + 1
