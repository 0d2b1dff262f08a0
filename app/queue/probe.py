import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.redis_errors import explain, is_refused
from app.core.watch import OK, Finding

_SECONDS = 2.0


async def probe_redis(redis: Redis) -> Finding:
    """Whether Redis responds to us; if not, the state is `refused` or `away`."""
    try:
        async with asyncio.timeout(_SECONDS):
            await redis.ping()
    except (RedisError, OSError) as error:
        return Finding("refused" if is_refused(error) else "away", explain(error, redis))
    return OK
