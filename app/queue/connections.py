"""Connections that leave a Redis server once it is no leader any more, as after a failover, and notice their end."""

from typing import Any

from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError

# A script reports the refusal of its write as an error of its own.
_REFUSAL = "READONLY"


class _LeavesReplicas(Connection):
    async def can_read_destructive(self) -> bool:
        """See `Connection.can_read_destructive`. It notices a connection that was reset or timed out, not only closed.

        Raises:
            redis.exceptions.ConnectionError: it has ended, so that the pool connects again.
        """
        if self._writer is not None and self._writer.transport.is_closing():
            raise RedisConnectionError("The connection has been lost")
        can_read: bool = await super().can_read_destructive()  # type: ignore[no-untyped-call]  # the client is untyped
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
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            if not isinstance(error, ReadOnlyError) and _REFUSAL not in str(error):
                raise
            # The address may lead to the new leader by now. The open connection never will.
            await self.disconnect()
            raise RedisConnectionError("The server is a replica, and refuses to write") from error


class _LeavesReplicasOverTls(_LeavesReplicas, SSLConnection):
    pass


class _LeavesReplicasOverSocket(_LeavesReplicas, UnixDomainSocketConnection):
    pass


def leaving_replicas(kind: type[Any]) -> type[Any]:
    """The kind of connection that is as this one, and leaves a server that has become a replica."""
    kinds = {SSLConnection: _LeavesReplicasOverTls, UnixDomainSocketConnection: _LeavesReplicasOverSocket}
    return kinds.get(kind, _LeavesReplicas)
