"""A program that stores a large object, reads it back, and prints by how many bytes its peak memory grew."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from app.core.settings import load_settings
from app.storage.open import open_store

OBJECT_BYTES = 300 * 1024**2
CHUNK = bytes(range(256)) * 256


async def main() -> None:
    store = open_store(load_settings())
    await store.write("small.bin", _chunks(1), media_type="application/octet-stream")
    await store.verify("small.bin")
    before = _peak_memory()
    written = await store.write("large.bin", _chunks(OBJECT_BYTES // len(CHUNK)), media_type="video/mp4")
    if await store.verify("large.bin") != written or written.size != OBJECT_BYTES:
        raise SystemExit("The object did not come back as it was written")
    sys.stdout.write(f"{_peak_memory() - before}\n")
    await store.close()


async def _chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield CHUNK


def _peak_memory() -> int:
    # Not getrusage, whose peak is inherited from the parent process.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    asyncio.run(main())
