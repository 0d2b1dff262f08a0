"""Reads and ages what the limiter keeps in Redis, so that no test has to wait for a window to pass."""

from redis.asyncio import Redis

from app.core.redis_keys import redis_key
from app.core.settings import Settings
from app.queue.open import open_redis

MICROSECONDS = 1_000_000

# Moves every member of sorted sets into the past by ARGV[1] microseconds.
_AGE = """
for _, key in ipairs(KEYS) do
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
        redis.call('ZINCRBY', key, -tonumber(ARGV[1]), member)
    end
end
"""


def redis_at(url: str) -> Redis:
    """The product's own client for the Redis of this URL."""
    return open_redis(Settings.model_validate({"redis_url": url}))


def minute_key(counted_id: str) -> str:
    """The key of an organization's or API key's requests within the last minute."""
    return redis_key("minute", counted_id)


def hour_key(key_id: str) -> str:
    """The key of an API key's requests within the last hour, counted by minute."""
    return redis_key("hour", key_id)


def slots_key(organization_id: str) -> str:
    """The key of an organization's slots, sorted by the end of their leases."""
    return redis_key("slots", organization_id)


async def age(redis: Redis, seconds: float, *keys: str) -> None:
    """Make the requests or leases under these keys this many seconds older."""
    await redis.eval(_AGE, len(keys), *keys, str(int(seconds * MICROSECONDS)))  # type: ignore[misc]  # redis-py's types


async def redis_seconds(redis: Redis) -> float:
    """The time by Redis's clock, which the limits use, in epoch seconds."""
    seconds, microseconds = await redis.time()
    return float(seconds) + float(microseconds) / MICROSECONDS


async def slot_leases(redis: Redis, organization_id: str) -> list[float]:
    """The remaining seconds of the leases of the organization's slots."""
    now = await redis_seconds(redis)
    slots = await redis.zrange(slots_key(organization_id), 0, -1, withscores=True)
    return [score / MICROSECONDS - now for _, score in slots if score / MICROSECONDS > now]
