"""A program that asks its own limiter about many requests, as fast as it can: `limiter_storm REDIS_URL LIMITS COUNT`.

It says `ready`, waits for a line, and at last says how many requests were admitted.
"""

import asyncio
import json
import sys

from app.rate_limits.limiter import RateLimiter
from app.rate_limits.policy import Limits
from tests.rate_limits.windows import redis_at

AT_ONCE = 40


async def main(redis_url: str, limits: Limits, count: int) -> int:
    """How many of `count` requests were admitted."""
    redis = redis_at(redis_url)
    limiter = RateLimiter(redis)
    await limiter.look(limits)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    requests = iter(range(count))
    admitted = 0

    async def ask() -> None:
        nonlocal admitted
        for _ in requests:
            _, slot = await limiter.admit(limits)
            if slot is not None:
                admitted += 1
                await limiter.release(slot)

    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    await redis.aclose(close_connection_pool=True)
    return admitted


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(main(sys.argv[1], Limits(**json.loads(sys.argv[2])), int(sys.argv[3])))}\n")
