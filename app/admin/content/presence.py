"""Whether files that should be in the store are there."""

import asyncio
from collections.abc import Sequence
from typing import Final

from app.core.concurrency import all_of
from app.generations.models import Output
from app.storage.protocol import ByteRange, ObjectMissingError, ObjectStore, StoreError

_SECONDS: Final = 2.0
# Of more files the others are taken for present: their frames say if they are not.
_MOST: Final = 10


async def look_at_files(store: ObjectStore, outputs: Sequence[Output]) -> list[bool | None]:
    """For each file whether it is there; None if the store does not say in time. No transaction may be open."""
    looked = await all_of(_is_there(store, output) for output in outputs[:_MOST])
    return [*looked, *(True for _ in outputs[_MOST:])]


async def _is_there(store: ObjectStore, output: Output) -> bool | None:
    try:
        async with asyncio.timeout(_SECONDS):
            async for _ in store.read(output.storage_path, ByteRange(0, 0) if output.size_bytes else None):
                break
    except ObjectMissingError:
        return False
    except (StoreError, TimeoutError):
        return None
    return True
