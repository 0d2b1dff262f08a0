import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import asyncpg

from app.core.crypto import random_token
from app.core.database_url import DatabaseAddress
from app.core.driver import Driver, open_connection
from app.core.postgres_errors import PostgresUnreachableError, explain, is_refused

logger = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 0.3
# Without a response for so long, the connection is taken for dead.
_ANSWER_SECONDS = 5
_RECONNECT_SECONDS = 0.5
# How long a notification of our own may take to arrive.
_ECHO_SECONDS = 2.0
_DEAF = (
    "Notifications do not arrive, as through a pooler in transaction mode: set DATABASE_POOLER=transaction, and"
    " DATABASE_DIRECT_URL to the database itself"
)


class NotificationListener:
    """Listens to Postgres channels over a connection of its own, and knows up to when it has missed nothing.

    The action of a channel is called for every notification, and each time the listener has connected, because
    notifications that were sent before that are lost. Postgres responds to a heartbeat after it has sent all earlier
    notifications, so the response proves that they have all arrived.
    """

    def __init__(self, address: DatabaseAddress, actions: Mapping[str, Callable[[], None]]) -> None:
        self._address = address
        self._actions = actions
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
                logger.log(
                    level, "listener_lost", extra={"channels": ", ".join(self._actions), "reason": explain(error)}
                )
            finally:
                self._complete_until = float("-inf")
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self) -> None:
        heard = asyncio.Event()
        async with self._connected() as connection:
            for channel, action in self._actions.items():
                await connection.add_listener(channel, partial(_call, action))
            echo = f"junis_echo_{random_token()}"
            await connection.add_listener(echo, lambda *_: heard.set())
            await self._require_echo(echo, heard)
            for action in self._actions.values():
                action()
            while True:
                asked_at = time.monotonic()
                if await connection.fetchval("SELECT pg_is_in_recovery()"):
                    raise PostgresUnreachableError("The server has become a standby, which is notified of nothing")
                self._complete_until = asked_at
                await asyncio.sleep(_HEARTBEAT_SECONDS)

    async def _require_echo(self, channel: str, heard: asyncio.Event) -> None:
        """Make sure that what another session notifies arrives here: through some poolers it never does.

        Raises:
            PostgresUnreachableError: it does not.
        """
        async with self._connected() as other:
            await other.execute("SELECT pg_notify($1, '')", channel)
            try:
                async with asyncio.timeout(_ECHO_SECONDS):
                    await heard.wait()
            except TimeoutError:
                raise PostgresUnreachableError(_DEAF) from None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Driver]:
        connection = await open_connection(
            self._address, application_name="junis-listener", command_timeout=_ANSWER_SECONDS
        )
        try:
            yield connection
        finally:
            connection.terminate()


def _call(action: Callable[[], None], *_notification: object) -> None:
    action()


@asynccontextmanager
async def listening(
    address: DatabaseAddress, actions: Mapping[str, Callable[[], None]]
) -> AsyncIterator[NotificationListener]:
    """A listener on channels of this database, for as long as the block runs. Each channel has an action."""
    listener = NotificationListener(address, actions)
    task = asyncio.create_task(listener.run())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
