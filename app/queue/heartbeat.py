"""The heartbeats of workers: written to Redis by them, read by `/readyz`."""

from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import cast

import orjson
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.core.redis_keys import redis_key

_WORKERS = redis_key("workers")
_SILENT_AFTER_SECONDS = 30


async def beat(redis: Redis, worker_id: str, loops: Mapping[str, bool]) -> None:
    """Report that a worker is alive, and for each of its loops whether it still runs. Call it every few seconds."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.set(_key(worker_id), orjson.dumps(dict(loops)), ex=_SILENT_AFTER_SECONDS)
        pipe.sadd(_WORKERS, worker_id)
        await pipe.execute()


async def read_loops(redis: Redis) -> dict[str, bool] | None:
    """For each loop, whether it still runs in every live worker; None if no worker is alive."""
    # redis-py types its commands for its synchronous client, too.
    known: set[bytes] = await cast("Awaitable[set[bytes]]", redis.smembers(_WORKERS))
    workers = sorted(worker.decode() for worker in known)
    values = await redis.mget([_key(worker) for worker in workers]) if workers else []
    if gone := [worker for worker, value in zip(workers, values, strict=True) if value is None]:
        # It takes no writes, perhaps, and what was read is worth showing all the same.
        with suppress(ResponseError):
            await cast("Awaitable[int]", redis.srem(_WORKERS, *gone))
    living = [orjson.loads(value) for value in values if value is not None]
    if not living:
        return None
    names = {name for loops in living for name in loops}
    return {name: all(loops.get(name, True) for loops in living) for name in sorted(names)}


def _key(worker_id: str) -> str:
    return redis_key("worker", worker_id)
