"""Connections to the Redis server that takes writes: they find it, leave it once it does not, and notice their end."""

import time
from typing import Any

from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from app.core.addresses import Address
from app.queue.leader import Leader, moved_to, owner_of_our_slot

# What a server says that takes no writes, or not of our keys, or not any more. A script reports it within an error of
# its own.
_NO_LEADER = (
    "READONLY",
    "MASTERDOWN",
    "NOREPLICAS",
    "UNBLOCKED",
    "CLUSTERDOWN",
    "MOVED ",
    "ASK ",
    "TRYAGAIN",
)
# A name may lead elsewhere by now, although the server that it led to still responds.
_LONGEST_SECONDS = 300.0
_MOST_MOVES = 5


class _MovedError(RedisConnectionError):
    """Another node of the cluster has our keys."""


class _LeavesReplicas(AbstractConnection):
    def __init__(self, *, leader: Leader, **options: Any) -> None:
        super().__init__(**options)
        self._leader = leader
        self._term = -1
        self._since = 0.0

    async def connect(self) -> None:
        """See `Connection.connect`. In a cluster, connect to the node that has our keys."""
        for _ in range(_MOST_MOVES):
            try:
                await super().connect()  # type: ignore[no-untyped-call]  # the client is untyped
            except _MovedError:
                continue
            return
        raise RedisConnectionError("The nodes of the cluster do not agree who has our keys")

    async def _connect(self) -> None:
        self._term, self._since = self._leader.term, time.monotonic()
        address = await self._leader.find()
        if address is not None:
            self.host, self.port = address
        try:
            await super()._connect()  # type: ignore[no-untyped-call, safe-super]  # the client is untyped, and one of its kinds comes next
        except OSError:
            self._leader.skip(address)
            raise

    async def on_connect(self) -> None:
        """See `Connection.on_connect`. It also asks a cluster who has our keys.

        Raises:
            redis.exceptions.ConnectionError: another node has them; the leader has learned which.
        """
        await super().on_connect()
        here = self._here
        if here is None:
            return
        await self.send_command("CLUSTER", "SLOTS", check_health=False)
        try:
            slots = await super().read_response()
        except ResponseError:
            return  # it is no cluster, or we may not ask
        if found := owner_of_our_slot(slots, here):
            owner, nodes = found
            self._leader.learn(owner, nodes)
            if owner != here:
                await self.disconnect()
                raise _MovedError("Another node of the cluster has our keys")

    async def can_read_destructive(self) -> bool:
        """See `Connection.can_read_destructive`. It notices a connection that was reset or timed out, not only closed.

        Raises:
            redis.exceptions.ConnectionError: it has ended, or its server may be no leader any more, so that the pool
                connects again.
        """
        if self._writer is not None and self._writer.transport.is_closing():
            raise RedisConnectionError("The connection has been lost")
        self._require_current()
        can_read: bool = await super().can_read_destructive()  # type: ignore[no-untyped-call]  # as above
        return can_read

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        """See `Connection.send_packed_command`. A connection that has just been lost is an error of Redis."""
        try:
            await super().send_packed_command(*args, **options)
        except RuntimeError as error:
            # uvloop's transports say so if they are closed. In asyncio's own loop a write to one is an OSError.
            raise RedisConnectionError("The connection has been lost") from error

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """See `Connection.read_response`. A server that refuses writes is left: the next command connects again."""
        if not options.get("disconnect_on_error", True):
            # A subscription, which may be for ever on a connection that nobody writes to.
            self._require_current()
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            text = _text(error)
            if not any(sign in text for sign in _NO_LEADER):
                raise
            # The address may lead to the new leader by now. The open connections never will.
            self._leader.leave(self._term, self._here)
            if self._here and (owner := moved_to(text, self._here)):
                self._leader.learn(owner)
            await self.disconnect()
            raise RedisConnectionError(f"The server takes no writes: {text}") from error

    @property
    def is_ready(self) -> bool:
        """Whether a command may be sent over it at once: nothing says that it has ended, or leads to no leader."""
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            return False
        return self._is_current and not writer.transport.is_closing() and not reader.at_eof()

    def send_now(self, packed: bytes) -> None:
        """Send commands over a connection that is ready, without waiting until they are sent.

        Raises:
            redis.exceptions.ConnectionError: it has just been lost.
        """
        assert self._writer is not None  # noqa: S101 - it is ready
        try:
            self._writer.write(packed)
        except RuntimeError as error:  # as in `send_packed_command`
            raise RedisConnectionError("The connection has been lost") from error

    @property
    def _is_current(self) -> bool:
        return self._term == self._leader.term and time.monotonic() - self._since <= _LONGEST_SECONDS

    @property
    def _here(self) -> Address | None:
        """Where it leads; None if that is a Unix socket."""
        return (str(self.host), int(self.port)) if hasattr(self, "host") else None

    def _require_current(self) -> None:
        if not self._is_current:
            raise RedisConnectionError("The connection may lead to a server that is no leader any more")


def _text(error: ResponseError) -> str:
    # The client library removes the code of those that it has a class for.
    return f"{type(error).__name__.removesuffix('Error').upper()} {error}"


class _OverTcp(_LeavesReplicas, Connection):
    pass


class _OverTls(_LeavesReplicas, SSLConnection):
    pass


class _OverSocket(_LeavesReplicas, UnixDomainSocketConnection):
    pass


def leaving_replicas(kind: type[Any]) -> type[Any]:
    """The kind of connection that is as this one, and leaves a server that takes no writes any more."""
    kinds: dict[type[Any], type[Any]] = {SSLConnection: _OverTls, UnixDomainSocketConnection: _OverSocket}
    return kinds.get(kind, _OverTcp)
