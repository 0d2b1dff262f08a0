"""A program that asks its limiter to admit many requests, as fast as it can: `limiter_storm REDIS_URL LIMITS COUNT`.

It prints `ready` and waits for a line of input. Then it asks, at least COUNT times, until it reads a second line; after
that it asks COUNT times more. Finally it prints how many requests were admitted.
"""

import asyncio
import json
import sys

from app.rate_limits.decisions import Limits
from app.rate_limits.limiter import RateLimiter
from tests.rate_limits.windows import redis_at
from tests.waiting import PATIENCE

AT_ONCE = 40


async def main(redis_url: str, limits: Limits, count: int) -> int:
    """The total number of admitted requests."""
    redis = redis_at(redis_url)
    limiter = RateLimiter(redis, response_seconds=PATIENCE)
    await limiter.look(limits)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    end_is_asked_for = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    admitted = await ask(limiter, limits, count)
    while not end_is_asked_for.done():
        admitted += await ask(limiter, limits, count)
    admitted += await ask(limiter, limits, count)
    await redis.aclose(close_connection_pool=True)
    return admitted


async def ask(limiter: RateLimiter, limits: Limits, count: int) -> int:
    """How many of `count` requests are admitted, of which up to AT_ONCE run at the same time."""
    requests = iter(range(count))
    admitted = 0

    async def ask_in_turn() -> None:
        nonlocal admitted
        for _ in requests:
            _, slot = await limiter.admit(limits)
            if slot is not None:
                admitted += 1
                await limiter.release(slot)

    await asyncio.gather(*(ask_in_turn() for _ in range(AT_ONCE)))
    return admitted


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(main(sys.argv[1], Limits(**json.loads(sys.argv[2])), int(sys.argv[3])))}\n")
