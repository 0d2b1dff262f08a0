from arq import ArqRedis
from redis.asyncio import ConnectionPool

from app.core.settings import Settings
from app.queue.arq import QUEUE_NAME, deserialize, serialize


def open_redis(settings: Settings) -> ArqRedis:
    """The connections to Redis; none is opened yet, so that a process starts while Redis is away."""
    pool = ConnectionPool.from_url(
        settings.redis_url, socket_timeout=5, socket_connect_timeout=2, health_check_interval=30
    )
    return ArqRedis(
        pool_or_conn=pool, job_serializer=serialize, job_deserializer=deserialize, default_queue_name=QUEUE_NAME
    )
