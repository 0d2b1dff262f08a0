import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from app.core.redis_errors import explain, is_refused
from app.core.redis_keys import redis_key
from app.core.watch import OK, Finding

_SECONDS = 2.0
_KEPT_SECONDS = 60


async def probe_redis(redis: Redis) -> Finding:
    """Whether Redis responds to us and takes writes; if not, the state is `refused`, `away` or `degraded`."""
    try:
        async with asyncio.timeout(_SECONDS):
            await redis.set(redis_key("probe"), "", ex=_KEPT_SECONDS)
    except ResponseError as error:
        return Finding("refused" if is_refused(error) else "degraded", explain(error, redis))
    except (RedisError, OSError) as error:
        return Finding("refused" if is_refused(error) else "away", explain(error, redis))
    return OK
