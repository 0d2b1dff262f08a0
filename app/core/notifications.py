import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from app.core.settings import Settings

logger = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 0.3
# No answer for so long means that the connection is dead; a slow one only delays what is known.
_ANSWER_SECONDS = 5
_RECONNECT_SECONDS = 0.5


class Listener:
    """Hears a Postgres channel over a connection of its own, and knows whether it really hears.

    `on_event` is called for every notification, and whenever the listener begins to hear: what was said before is
    lost. Postgres answers a heartbeat behind every notification that came before it, so an answered heartbeat
    proves that all of them have been heard.
    """

    def __init__(self, dsn: str, channel: str, on_event: Callable[[], None]) -> None:
        self._dsn = dsn
        self._channel = channel
        self._on_event = on_event
        self._heard_all_until = float("-inf")

    def has_heard_all_until(self) -> float:
        """The monotonic moment up to which every notification has been heard; -inf while nothing is."""
        return self._heard_all_until

    async def run(self) -> None:
        """Listen until cancelled, over a new connection whenever one is lost."""
        while True:
            try:
                await self._listen()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                logger.warning("listener_lost", extra={"channel": self._channel, "reason": repr(error)})
            finally:
                self._heard_all_until = float("-inf")
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            self._dsn, timeout=5, server_settings={"application_name": "junis-listener"}
        )
        try:
            await connection.add_listener(self._channel, lambda *_: self._on_event())
            self._on_event()
            while True:
                asked_at = time.monotonic()
                await connection.execute("SELECT 1", timeout=_ANSWER_SECONDS)
                self._heard_all_until = asked_at
                await asyncio.sleep(_HEARTBEAT_SECONDS)
        finally:
            connection.terminate()


@asynccontextmanager
async def listening(settings: Settings, channel: str, on_event: Callable[[], None]) -> AsyncIterator[Listener]:
    """A listener that hears the channel while the block runs."""
    listener = Listener(settings.database_url, channel, on_event)
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
