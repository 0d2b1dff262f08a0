"""The objects that the database says there are: read back, and copied from one store to another.

What the database lists is what a client can be shown: the outputs of completed generations, with size and hash. Objects
that no row knows are not copied; they are what a crash left behind.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from app.core.concurrency import all_of
from app.core.database import Database
from app.generations import outputs
from app.generations.outputs import START, CompletedOutput
from app.storage.protocol import ObjectMissingError, ObjectStore, Stored

Told = Callable[[int], None]

# Objects are read in bounded memory, so many at a time.
_AT_ONCE = 8
_ROWS = 500


@dataclass(frozen=True)
class Walked:
    """What a walk over all objects has found.

    Attributes:
        objects: how many the database lists.
        size: their bytes, all together.
        copied: how many were written; the others were there already.
        faults: a sentence for each object that is missing or has other bytes.
    """

    objects: int
    size: int
    copied: int
    faults: Sequence[str]


async def verify_objects(database: Database, store: ObjectStore, told: Told = lambda _: None) -> Walked:
    """Read every object that the database lists, and compare its size and hash.

    Args:
        database: is only read, in short transactions.
        store: has the objects.
        told: is told, now and then, how many objects are done.

    Raises:
        StoreError: the store cannot be used.
    """

    async def verify(listed: CompletedOutput) -> bool:
        _compare(await store.verify(listed.output.storage_path), listed)
        return False

    return await _walk(database, verify, told)


async def copy_objects(
    database: Database, source: ObjectStore, target: ObjectStore, told: Told = lambda _: None
) -> Walked:
    """Copy every object that the database lists. What the target has already is read, and left if it is right.

    So it can be repeated, after a crash as well as for what has come since. Nothing is ever deleted.

    Raises:
        StoreError: a store cannot be used.
    """

    async def copy(listed: CompletedOutput) -> bool:
        if await _has(target, listed):
            return False
        sent = await target.write(
            listed.output.storage_path,
            source.read(listed.output.storage_path),
            media_type=listed.output.media.media_type,
        )
        try:
            _compare(sent, listed)
        except _OtherBytesError:
            await target.delete(listed.output.storage_path)
            raise
        return True

    return await _walk(database, copy, told)


class _OtherBytesError(Exception):
    """An object is not what its row says."""


async def _has(target: ObjectStore, listed: CompletedOutput) -> bool:
    try:
        return await target.verify(listed.output.storage_path) == listed.stored
    except ObjectMissingError:
        return False


def _compare(found: Stored, listed: CompletedOutput) -> None:
    if found != listed.stored:
        raise _OtherBytesError(
            f"has {found.size:,} bytes with SHA-256 {found.sha256}, not {listed.stored.size:,} with"
            f" {listed.stored.sha256}"
        )


async def _walk(database: Database, act: Callable[[CompletedOutput], Awaitable[bool]], told: Told) -> Walked:
    """Do something with each object, a few at a time. `act` says whether it has written one."""
    objects = size = copied = 0
    faults: list[str] = []
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(listed: CompletedOutput) -> tuple[bool, str]:
        async with limit:
            try:
                return await act(listed), ""
            except ObjectMissingError as error:
                return False, f"{listed.output.storage_path} is missing: {error}"
            except _OtherBytesError as error:
                return False, f"{listed.output.storage_path} {error}"

    async for batch in _batches(database):
        for listed, (is_copied, fault) in zip(batch, await all_of(one(listed) for listed in batch), strict=True):
            copied += is_copied
            # What was deleted meanwhile, with its row, is not missing.
            if fault and await _is_listed(database, listed.output.storage_path):
                faults.append(fault)
        objects += len(batch)
        size += sum(listed.stored.size for listed in batch)
        told(objects)
    return Walked(objects, size, copied, faults)


async def _batches(database: Database) -> AsyncIterator[Sequence[CompletedOutput]]:
    """All listed objects. Each batch is read in a transaction of its own, so that nothing waits for a long walk."""
    after = START
    while True:
        async with database.transaction() as tx:
            batch = await outputs.list_completed(tx, after, _ROWS)
        if not batch:
            return
        yield batch
        after = batch[-1].output.cursor


async def _is_listed(database: Database, path: str) -> bool:
    async with database.transaction() as tx:
        return await outputs.is_completed(tx, path)
