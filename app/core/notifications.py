import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg

from app.core.driver import open_connection
from app.core.postgres_errors import explain, is_refused

logger = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 0.3
# Without a response for so long, the connection is taken for dead.
_ANSWER_SECONDS = 5
_RECONNECT_SECONDS = 0.5


class NotificationListener:
    """Listens to a Postgres channel over a connection of its own, and knows up to when it has missed nothing.

    `on_event` is called for every notification, and each time the listener has connected, because notifications that
    were sent before that are lost. Postgres responds to a heartbeat after it has sent all earlier notifications, so the
    response proves that they have all arrived.
    """

    def __init__(self, dsn: str, channel: str, on_event: Callable[[], None]) -> None:
        self._dsn = dsn
        self._channel = channel
        self._on_event = on_event
        self._complete_until = float("-inf")

    def complete_until(self) -> float:
        """The moment, by the monotonic clock, up to which no notification was missed; -inf while not connected."""
        return self._complete_until

    async def run(self) -> None:
        """Listen until cancelled. A connection that is lost is replaced."""
        while True:
            try:
                await self._listen()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                level = logging.ERROR if is_refused(error) else logging.WARNING
                logger.log(level, "listener_lost", extra={"channel": self._channel, "reason": explain(error)})
            finally:
                self._complete_until = float("-inf")
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await open_connection(
            self._dsn, command_timeout=_ANSWER_SECONDS, server_settings={"application_name": "junis-listener"}
        )
        try:
            await connection.add_listener(self._channel, lambda *_: self._on_event())
            self._on_event()
            while True:
                asked_at = time.monotonic()
                await connection.execute("SELECT 1")
                self._complete_until = asked_at
                await asyncio.sleep(_HEARTBEAT_SECONDS)
        finally:
            connection.terminate()


@asynccontextmanager
async def listening(dsn: str, channel: str, on_event: Callable[[], None]) -> AsyncIterator[NotificationListener]:
    """A listener on the channel of the database `dsn`, for as long as the block runs."""
    listener = NotificationListener(dsn, channel, on_event)
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
