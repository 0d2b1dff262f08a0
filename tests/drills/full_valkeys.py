"""A Valkey that responds and takes no writes: because its memory is used up, or because it cannot save what it has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from devstack.valkey import Valkey
from tests.waiting import until


@asynccontextmanager
async def without_memory(server: Valkey) -> AsyncIterator[None]:
    """All memory that the server may use is used during the block, and nothing is dropped for it."""
    async with Redis.from_url(server.url) as redis:
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", 1)
        yield
        await redis.config_set("maxmemory", 0)


@asynccontextmanager
async def without_saving(server: Valkey) -> AsyncIterator[None]:
    """The server cannot save its data during the block, and takes no writes for that: a folder has its file's name."""
    obstacle = server.folder / "dump.rdb"
    async with Redis.from_url(server.url) as redis:
        await redis.config_set("stop-writes-on-bgsave-error", "yes")
        await redis.config_set("save", "3600 1")
        obstacle.mkdir()
        await redis.bgsave()
        await until(lambda: _has_failed(redis))
        yield
        obstacle.rmdir()
        await redis.bgsave()
        await until(lambda: _is_saved(redis))


async def _has_failed(redis: Redis) -> bool:
    return str((await redis.info("persistence"))["rdb_last_bgsave_status"]) == "err"


async def _is_saved(redis: Redis) -> bool:
    try:
        await redis.set("saved", "1")
    except ResponseError:
        return False
    return True
