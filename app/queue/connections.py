"""Connections that leave a Redis server once it is no leader any more, as after a failover."""

from typing import Any

from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError

# A script reports the refusal of its write as an error of its own.
_REFUSAL = "READONLY"


class _LeavesReplicas(Connection):
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
