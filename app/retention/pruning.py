"""Prunes rows of one kind: in batches with a transaction each, and as long a pause after each as it has taken."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from app.core.database import Database
from app.idempotency.service import forget_batch
from app.input_files.service import prune_batch
from app.retention import repository, seals

logger = logging.getLogger(__name__)

# Each batch takes some ten milliseconds, so that a turn that needs one of its rows does not wait for longer.
_SESSIONS, _MESSAGES = 100, 1000
_HOLDS = 500
_ENTRIES = 1000
_EVENTS = 500
_LEAST_PAUSE_SECONDS = 0.01
_FIRST = (datetime(1970, 1, 1, tzinfo=UTC), 0)


@dataclass(frozen=True)
class Pruned:
    """How many rows were removed, and whether none is left to be removed now."""

    removed: int
    is_done: bool


async def prune_idempotency_keys(database: Database, deadline: float) -> Pruned:
    """Delete keys that have expired, until `deadline` by the monotonic clock."""

    async def batch() -> tuple[int, bool]:
        forgotten, is_more = await forget_batch(database)
        return forgotten, not is_more

    return await _in_batches(batch, deadline)


async def prune_sessions(database: Database, kept: timedelta, deadline: float) -> Pruned:
    """Delete sessions that were last used before that, with their messages, until `deadline`.

    Their generated content stays. A session with a running turn or an unended generation stays, too.
    """
    async with database.transaction() as tx:
        organizations = await repository.find_with_old_sessions(tx, kept)
    removed = 0
    for organization_id in organizations:

        async def batch(organization_id: str = organization_id) -> tuple[int, bool]:
            return await _prune_some_sessions(database, organization_id, kept)

        pruned = await _in_batches(batch, deadline)
        removed += pruned.removed
        if not pruned.is_done:
            return Pruned(removed, is_done=False)
    return Pruned(removed, is_done=True)


async def _prune_some_sessions(database: Database, organization_id: str, kept: timedelta) -> tuple[int, bool]:
    async with database.transaction() as tx:
        some = await repository.prune_sessions(tx, organization_id, kept, sessions=_SESSIONS, messages=_MESSAGES)
    if some.removed == 0 and some.long is not None:
        async with database.transaction() as tx:
            await repository.shorten_session(tx, some.long, kept, messages=_MESSAGES)
    return some.removed, some.removed == 0 and some.long is None


async def prune_input_files(database: Database, deadline: float) -> Pruned:
    """Delete files that no attempt of a generation can need any more, until `deadline`."""
    return await _in_batches(lambda: prune_batch(database), deadline)


async def prune_webhooks(database: Database, kept: timedelta, deadline: float) -> Pruned:
    """Delete events that happened before that, with their deliveries, until `deadline`.

    One that is still to be delivered stays. Endpoints that were deleted go once nothing refers to them.
    """

    async def batch() -> tuple[int, bool]:
        async with database.transaction() as tx:
            removed = await repository.prune_webhooks(tx, kept, events=_EVENTS)
        return removed, removed < _EVENTS

    pruned = await _in_batches(batch, deadline)
    if pruned.is_done:
        async with database.transaction() as tx:
            await repository.prune_deleted_endpoints(tx, kept)
    return pruned


async def prune_metering(database: Database, kept: timedelta, deadline: float) -> Pruned:
    """Seal what can be sealed, then delete holds that ended before that, with their events, until `deadline`.

    An organization whose charges do not follow from their events keeps all that is not sealed. The others do not wait
    for it.
    """
    if not await seal(database, deadline):
        return Pruned(0, is_done=False)
    async with database.transaction() as tx:
        found = await repository.find_with_old_holds(tx, kept)
    removed = 0
    for organization_id, cut in found:
        async with database.transaction() as tx:
            await repository.note_cut(tx, organization_id, cut)
        walk = _Walk(database, organization_id, cut)
        pruned = await _in_batches(walk.step, deadline)
        removed += pruned.removed
        if not pruned.is_done:
            return Pruned(removed, is_done=False)
    return Pruned(removed, is_done=True)


async def seal(database: Database, deadline: float) -> bool:
    """Seal all ledgers as far as they can be today, until `deadline`. Returns whether that is done."""
    async with database.transaction() as tx:
        behind = await seals.find_behind(tx)
    for organization_id in behind:

        async def batch(organization_id: str = organization_id) -> tuple[int, bool]:
            async with database.transaction() as tx:
                sealed = await seals.seal(tx, organization_id, _ENTRIES)
            if sealed.fault is not None:
                logger.error("ledger_not_sealed", extra={"organization_id": organization_id, "reason": sealed.fault})
            return 0, sealed.is_done

        if not (await _in_batches(batch, deadline)).is_done:
            return False
    return True


@dataclass
class _Walk:
    """Goes through an organization's ended holds, the oldest first. Those that must stay are passed over."""

    database: Database
    organization_id: str
    cut: datetime
    after: tuple[datetime, int] = _FIRST

    async def step(self) -> tuple[int, bool]:
        async with self.database.transaction() as tx:
            await seals.by_keys(tx)
            some = await repository.prune_metering(tx, self.organization_id, self.cut, holds=_HOLDS, after=self.after)
        self.after = some.last or self.after
        return some.removed, some.last is None


async def _in_batches(batch: Callable[[], Awaitable[tuple[int, bool]]], deadline: float) -> Pruned:
    """Run batches until one of them says that it is the last, or the time is over."""
    removed = 0
    while (began := monotonic()) < deadline:
        count, is_last = await batch()
        removed += count
        if is_last:
            return Pruned(removed, is_done=True)
        await asyncio.sleep(max(_LEAST_PAUSE_SECONDS, monotonic() - began))
    return Pruned(removed, is_done=False)
