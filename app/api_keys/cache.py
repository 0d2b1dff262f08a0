import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from app.api_keys import service
from app.api_keys.caller import Caller
from app.api_keys.errors import InvalidApiKeyError
from app.api_keys.key_format import is_well_formed
from app.core.clock import now
from app.core.crypto import sha256
from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from app.core.remembered import Remembered

logger = logging.getLogger(__name__)

# A trigger in the database notifies this channel whenever a key, an organization or a plan changes.
CALLERS_CHANNEL = "junis_callers"

_MOST_ENTRIES = 10_000
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
    """Callers by the hash of their key, so that a known key costs no round trip. It also notes when keys are used."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.remembered: Remembered[bytes, _Entry] = Remembered(_MOST_ENTRIES)
        self._uses: dict[str, datetime] = {}

    async def get(self, secret: str) -> Caller:
        """The caller that this key belongs to.

        Raises:
            InvalidApiKeyError: it is malformed, unknown, revoked or expired.
            ServiceUnavailableError: the key is not known here, and Postgres cannot be reached.
        """
        if not is_well_formed(secret):
            raise InvalidApiKeyError
        key_hash = sha256(secret)
        entry = await self.remembered.get(key_hash, partial(self._load, key_hash))
        if entry.is_expired:
            raise InvalidApiKeyError
        self._uses[entry.caller.key_id] = now()
        return entry.caller

    async def _load(self, key_hash: bytes) -> _Entry:
        loaded_at = time.monotonic()
        async with self._database.transaction() as tx:
            return _Entry(await service.find_caller(tx, key_hash), loaded_at)

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
async def keeping_uses(callers: CallerCache) -> AsyncIterator[None]:
    """Store when keys are used, while the block runs and at its end."""
    writing = asyncio.create_task(callers.write_uses_for_ever())
    try:
        yield
    finally:
        writing.cancel()
        await callers.write_uses()
