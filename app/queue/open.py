from typing import Any

from arq import ArqRedis
from redis.asyncio import BlockingConnectionPool

from app.core.keepalive import tcp_options
from app.core.settings import Settings
from app.queue.arq import deserialize, serialize

_MOST_CONNECTIONS = 100


def open_redis(settings: Settings) -> ArqRedis:
    """The connection pool of Redis. It connects when it is first used, so that a process starts while Redis is away."""
    # The other kind of pool connects while it holds its lock: if Redis does not respond, all would wait for that lock.
    pool = BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=_MOST_CONNECTIONS,
        timeout=2,
        socket_timeout=2,
        socket_connect_timeout=2,
        health_check_interval=30,
        **_keepalive(settings.redis_url),
    )
    return ArqRedis(pool_or_conn=pool, job_serializer=serialize, job_deserializer=deserialize)


def _keepalive(url: str) -> dict[str, Any]:
    # A connection that only listens for wakes would not notice otherwise that Redis is gone.
    if url.startswith("unix:"):
        return {}
    return {"socket_keepalive": True, "socket_keepalive_options": tcp_options()}
