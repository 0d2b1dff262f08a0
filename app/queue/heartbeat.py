from arq import ArqRedis

_KEY = "junis:worker:alive"
_SILENT_AFTER_SECONDS = 30


async def beat(redis: ArqRedis) -> None:
    """Say that a worker lives; to be called every few seconds."""
    await redis.set(_KEY, 1, ex=_SILENT_AFTER_SECONDS)


async def is_worker_alive(redis: ArqRedis) -> bool:
    """Whether any worker has called `beat` lately."""
    return bool(await redis.exists(_KEY))
