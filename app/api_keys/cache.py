import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from app.api_keys import service
from app.api_keys.caller import Caller
from app.api_keys.errors import InvalidApiKeyError
from app.api_keys.key_format import is_well_formed
from app.core.clock import now
from app.core.crypto import sha256
from app.core.database import Database
from app.core.database_url import DatabaseAddress
from app.core.errors import ServiceUnavailableError
from app.core.notifications import NotificationListener, listening

logger = logging.getLogger(__name__)

# A trigger in the database notifies this channel whenever a key, an organization or a plan changes.
CHANNEL = "junis_callers"

_MOST_ENTRIES = 10_000
_UNPROVEN_SECONDS = 1.0
_WRITE_USES_SECONDS = 10.0


@dataclass(frozen=True)
class _Entry:
    """A caller, and when it was read, by the monotonic clock."""

    caller: Caller
    loaded_at: float

    @property
    def is_expired(self) -> bool:
        """Whether the key has stopped working since. The clocks of this machine and of Postgres may differ."""
        usable_for = self.caller.usable_for
        return usable_for is not None and time.monotonic() - self.loaded_at >= usable_for.total_seconds()


class CallerCache:
    """Callers by the hash of their key, so that a cached key costs no round trip.

    An entry is valid for as long as the listener proves that no notification of a change was missed. Without that
    proof it is valid for one second.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._version = 0
        self._uses: dict[str, datetime] = {}
        self.listener: NotificationListener | None = None

    def clear(self) -> None:
        """Forget every entry: something about a key has changed, or may have."""
        self._version += 1
        self._entries.clear()

    async def get(self, secret: str) -> Caller:
        """The caller that this key belongs to.

        Raises:
            InvalidApiKeyError: it is malformed, unknown, revoked or expired.
            ServiceUnavailableError: the key is not cached here, and Postgres cannot be reached.
        """
        if not is_well_formed(secret):
            raise InvalidApiKeyError
        key_hash = sha256(secret)
        entry = self._known(key_hash) or await self._load(key_hash)
        if entry.is_expired:
            raise InvalidApiKeyError
        self._uses[entry.caller.key_id] = now()
        return entry.caller

    def _known(self, key_hash: bytes) -> _Entry | None:
        entry = self._entries.get(key_hash)
        if entry is None:
            return None
        proven_until = self.listener.complete_until() if self.listener else float("-inf")
        if max(entry.loaded_at, proven_until) < time.monotonic() - _UNPROVEN_SECONDS:
            return None
        self._entries.move_to_end(key_hash)
        return entry

    async def _load(self, key_hash: bytes) -> _Entry:
        version, loaded_at = self._version, time.monotonic()
        async with self._database.transaction() as tx:
            caller = await service.find_caller(tx, key_hash)
        entry = _Entry(caller, loaded_at)
        if version == self._version:
            # Otherwise something changed during the read, and what was read may be out of date.
            self._entries[key_hash] = entry
            if len(self._entries) > _MOST_ENTRIES:
                self._entries.popitem(last=False)
        return entry

    async def write_uses(self) -> None:
        """Store when keys were last used, in one statement. What cannot be stored is kept for the next time."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        is_written = False
        try:
            async with self._database.transaction() as tx:
                await service.note_uses(tx, uses)
            is_written = True
        except ServiceUnavailableError:
            pass  # the database has logged it
        except Exception:  # a defect in one batch must not stop the next one
            logger.exception("uses_not_written")
        finally:
            if not is_written:
                self._uses = uses | self._uses

    async def write_uses_for_ever(self) -> None:
        """Store uses every ten seconds until cancelled."""
        while True:
            await asyncio.sleep(_WRITE_USES_SECONDS)
            await self.write_uses()


@asynccontextmanager
async def open_caller_cache(database: Database, address: DatabaseAddress) -> AsyncIterator[CallerCache]:
    """The cache of a process. While the block runs, it listens for changes on a connection of its own."""
    cache = CallerCache(database)
    async with listening(address, CHANNEL, cache.clear) as listener:
        cache.listener = listener
        writing = asyncio.create_task(cache.write_uses_for_ever())
        try:
            yield cache
        finally:
            writing.cancel()
            await cache.write_uses()
