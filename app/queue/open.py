from arq import ArqRedis
from redis.asyncio import BlockingConnectionPool

from app.core.settings import Settings
from app.queue.arq import deserialize, serialize

_MOST_CONNECTIONS = 100


def open_redis(settings: Settings) -> ArqRedis:
    """The connections to Redis; none is opened yet, so that a process starts while Redis is away."""
    # The other kind of pool connects under its lock: while Redis does not answer, everybody would wait for everybody.
    pool = BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=_MOST_CONNECTIONS,
        timeout=2,
        socket_timeout=2,
        socket_connect_timeout=2,
        health_check_interval=30,
    )
    return ArqRedis(pool_or_conn=pool, job_serializer=serialize, job_deserializer=deserialize)
