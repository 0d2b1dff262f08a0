"""How tests open the product's own pools of connections to Redis."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias

from arq import ArqRedis

from app.core.settings import Settings
from app.queue.leader import Leader
from app.queue.open import open_leader, open_redis

OpenRedis: TypeAlias = Callable[[str], ArqRedis]


@asynccontextmanager
async def opening() -> AsyncIterator[OpenRedis]:
    """Open pools during the block. Those of one URL share what they know of the leader, as those of a process do."""
    leaders: dict[str, Leader] = {}
    async with AsyncExitStack() as stack:

        def open_one(url: str) -> ArqRedis:
            settings = Settings.model_validate({"redis_url": url})
            if url not in leaders:
                leaders[url] = open_leader(settings)
                stack.push_async_callback(leaders[url].close)
            redis = open_redis(settings, leaders[url])
            stack.push_async_callback(redis.aclose, close_connection_pool=True)
            return redis

        yield open_one
