from typing import Any

from arq import ArqRedis
from redis.asyncio import BlockingConnectionPool

from app.core.keepalive import tcp_options
from app.core.redis_url import redis_address
from app.core.settings import Settings
from app.queue.arq import deserialize, serialize
from app.queue.connections import leaving_replicas
from app.queue.leader import Leader

_MOST_CONNECTIONS = 100


def open_leader(settings: Settings) -> Leader:
    """What the connections of a process know of the server that takes writes."""
    return Leader(redis_address(settings.redis_url))


def open_redis(settings: Settings, leader: Leader | None = None) -> ArqRedis:
    """The connection pool of Redis. It connects when it is first used, so that a process starts while Redis is away.

    Args:
        settings: where Redis is.
        leader: what other pools of this process know; if there is none, this pool finds out by itself.
    """
    address = redis_address(settings.redis_url)
    options: dict[str, Any] = {
        "timeout": 2,
        "socket_timeout": 2,
        "socket_connect_timeout": 2,
        "health_check_interval": 30,
        **_keepalive(address.url),
        **address.options,
    }
    # The other kind of pool connects while it holds its lock: if Redis does not respond, all would wait for that lock.
    pool = BlockingConnectionPool.from_url(
        address.url, max_connections=_MOST_CONNECTIONS, leader=leader or open_leader(settings), **options
    )
    pool.connection_class = leaving_replicas(pool.connection_class)
    return ArqRedis(pool_or_conn=pool, job_serializer=serialize, job_deserializer=deserialize)


def _keepalive(url: str) -> dict[str, Any]:
    # A connection that only listens for wakes would not notice otherwise that Redis is gone.
    if url.startswith("unix:"):
        return {}
    return {"socket_keepalive": True, "socket_keepalive_options": tcp_options()}
