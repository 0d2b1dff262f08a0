"""Commands to Redis of which many share a round trip."""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any, Final, TypeAlias

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, RedisError, ResponseError

# How long a command waits for its response. A Redis that accepts connections and does not respond counts as away, too.
RESPONSE_SECONDS: Final = 1.0
# A connection that was not used for so long is looked at by its pool before it is used again.
_IDLE_SECONDS: Final = 5.0

Argument: TypeAlias = str | bytes | int


class Script:
    """A script in Lua, by whose hash a server knows it that has run it before."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], arguments: Sequence[Argument]) -> "Command":
        """The command that runs it."""
        given = (len(keys), *keys, *arguments)
        return Command(("EVALSHA", self.sha, *given), ("EVAL", self.text, *given))


@dataclass(frozen=True)
class Command:
    """A command, and the one to send instead if the server does not know its script."""

    words: tuple[Argument, ...]
    with_script: tuple[Argument, ...] = ()


@dataclass(frozen=True)
class _Asked:
    """A command that waits for its response. `until` is when it gives up, on the loop's clock."""

    command: Command
    until: float
    response: "asyncio.Future[Any]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: BaseException) -> None:
        if not self.response.done():
            self.response.set_exception(error)


class RoundTrips:
    """Asks Redis over one connection: what is asked within one turn of the event loop, in one round trip.

    What is asked while a round trip is under way goes with the next one. Commands are carried out in the order in which
    they were asked, each by itself: the failure of one changes nothing about the others. Only if the connection fails,
    all that wait fail with it.
    """

    def __init__(self, redis: Redis, *, response_seconds: float = RESPONSE_SECONDS) -> None:
        self._pool = redis.connection_pool
        self._response_seconds = response_seconds
        self._waiting: list[_Asked] = []
        self._travelling: asyncio.Task[None] | None = None
        self._connection: AbstractConnection | None = None
        self._used_at = 0.0

    async def ask(self, command: Command) -> Any:
        """The response to one command.

        Raises:
            RedisError, OSError: Redis refuses it, cannot be reached, or does not respond within a second.
        """
        loop = asyncio.get_running_loop()
        asked = _Asked(command, loop.time() + self._response_seconds)
        self._waiting.append(asked)
        if self._travelling is None:
            # In no request's context: it travels for all of them.
            self._travelling = loop.create_task(self._travel(), context=Context())
        return await asked.response

    async def close(self) -> None:
        """Give the connection back."""
        if self._travelling is not None:
            self._travelling.cancel()
            await asyncio.wait({self._travelling})
        await self._leave()

    async def _travel(self) -> None:
        try:
            while batch := self._next():
                await self._round_trip(batch)
        finally:
            self._travelling = None

    def _next(self) -> list[_Asked]:
        """What goes with the next round trip: all that somebody still waits for."""
        batch = [asked for asked in self._waiting if not asked.response.done()]
        self._waiting.clear()
        return batch

    async def _round_trip(self, batch: list[_Asked]) -> None:
        try:
            async with asyncio.timeout_at(batch[0].until):
                await self._exchange(batch)
        except (RedisError, OSError) as error:
            # Those that have come meanwhile would wait for the same.
            for asked in (*batch, *self._next()):
                asked.fail(error)
            await self._leave(is_broken=True)
        except BaseException as error:  # raised again; nobody else would tell those that wait
            for asked in (*batch, *self._next()):
                asked.fail(error)
            await self._leave(is_broken=True)
            raise

    async def _exchange(self, batch: list[_Asked]) -> None:
        """Send the commands, and give each its response. A script that the server does not know is sent to it."""
        unknown = []
        for asked, response in zip(batch, await self._sent([asked.command.words for asked in batch]), strict=True):
            if isinstance(response, NoScriptError) and asked.command.with_script:
                unknown.append(asked)
            else:
                _respond(asked, response)
        if unknown:
            responses = await self._sent([asked.command.with_script for asked in unknown])
            for asked, response in zip(unknown, responses, strict=True):
                _respond(asked, response)

    async def _sent(self, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
        """The responses to the commands, in order; an error that is one command's own is its response."""
        packed = b"".join(pack_command(words) for words in commands)  # type: ignore[arg-type]  # its stub knows tuples of one word only
        connection = self._connection
        if connection is not None and self._is_ready(connection):
            connection.send_now(packed)  # type: ignore[attr-defined]  # what is ready has it
        else:
            await self._leave()
            connection = self._connection = await self._pool.get_connection()
            await connection.send_packed_command(packed)
        responses = [await _response_of(connection) for _ in commands]
        self._used_at = asyncio.get_running_loop().time()
        return responses

    def _is_ready(self, connection: AbstractConnection) -> bool:
        is_fresh = asyncio.get_running_loop().time() - self._used_at < _IDLE_SECONDS
        return is_fresh and bool(getattr(connection, "is_ready", False))

    async def _leave(self, *, is_broken: bool = False) -> None:
        """Give the connection back. A response that still comes on a broken one must not be anybody else's."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if is_broken:
            await connection.disconnect(nowait=True)
        await self._pool.release(connection)


async def _response_of(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _respond(asked: _Asked, response: Any) -> None:
    if isinstance(response, ResponseError):
        asked.fail(response)
    elif not asked.response.done():
        asked.response.set_result(response)
