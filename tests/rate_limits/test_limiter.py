"""The limiter's decisions with Redis: all limits are checked together, and a request counts in all or in none."""

import asyncio
from collections import Counter
from math import ceil
from typing import Any

import pytest
from redis.asyncio import Redis

from app.rate_limits.decisions import MINUTE_SECONDS, Decision, Limits, Refusal
from app.rate_limits.limiter import RateLimiter, Slot
from tests.rate_limits.making import make_limits
from tests.rate_limits.windows import MICROSECONDS, age, hour_key, minute_key, redis_seconds, slots_key

REQUESTS = 300
# Each decision has a time limit of a second, which a busy machine would miss if all were asked for at once.
AT_ONCE = 60


async def admit(limiter: RateLimiter, limits: Limits, times: int = 1) -> list[Decision]:
    """Decisions about requests that arrive one after the other and keep running."""
    return [(await limiter.admit(limits))[0] for _ in range(times)]


async def admit_many(limiters: list[RateLimiter], limits: Limits) -> list[tuple[Decision, Slot | None]]:
    """Decisions about many concurrent requests, spread over the processes."""
    free = asyncio.Semaphore(AT_ONCE)

    async def admit_next(limiter: RateLimiter) -> tuple[Decision, Slot | None]:
        async with free:
            return await limiter.admit(limits)

    return await asyncio.gather(*(admit_next(limiters[number % 3]) for number in range(REQUESTS)))


@pytest.mark.parametrize(
    ("named", "refusal"),
    [
        ({"per_minute": 60}, Refusal.MINUTE),
        ({"key_per_minute": 17}, Refusal.MINUTE),
        ({"key_per_hour": 23}, Refusal.HOUR),
        ({"concurrent": 5}, Refusal.CONCURRENCY),
        ({"per_minute": 31, "key_per_minute": 30, "key_per_hour": 29, "concurrent": 28}, Refusal.CONCURRENCY),
    ],
)
async def test_exactly_the_limit_of_many_concurrent_requests_is_admitted(
    limiters: list[RateLimiter], named: dict[str, Any], refusal: Refusal
) -> None:
    limits = make_limits(**named)

    decided = await admit_many(limiters, limits)

    outcomes = Counter(decision.refusal for decision, _ in decided)
    assert outcomes == {None: min(named.values()), refusal: REQUESTS - min(named.values())}
    assert all((slot is None) == (decision.refusal is not None) for decision, slot in decided)


@pytest.mark.parametrize(
    ("named", "refusal"),
    [
        ({"concurrent": 2}, Refusal.CONCURRENCY),
        ({"key_per_hour": 2}, Refusal.HOUR),
        ({"key_per_minute": 2}, Refusal.MINUTE),
        ({"per_minute": 2}, Refusal.MINUTE),
    ],
)
async def test_a_refused_request_consumes_nothing(
    redis: Redis, limiter: RateLimiter, named: dict[str, Any], refusal: Refusal
) -> None:
    limits = make_limits(**{"key_per_minute": 50, "key_per_hour": 50, **named})
    admitted = await admit(limiter, limits, 2)

    refused = await admit(limiter, limits, 10)

    assert {decision.refusal for decision in refused} == {refusal}
    for decision in (admitted[-1], *refused):
        assert decision.key_minute is not None
        assert decision.key_hour is not None
        assert (decision.organization.used, decision.key_minute.used, decision.key_hour.used) == (2, 2, 2)
    assert await redis.zcard(slots_key(limits.organization_id)) == 2
    assert await redis.zcard(minute_key(limits.organization_id)) == 2


async def test_looking_at_the_limits_does_not_count(redis: Redis, limiter: RateLimiter) -> None:
    limits = make_limits(per_minute=10, key_per_minute=5, key_per_hour=7)
    await admit(limiter, limits, 3)

    seen = [await limiter.look(limits) for _ in range(3)]

    for decision in seen:
        assert decision.key_minute is not None
        assert decision.key_hour is not None
        windows = (decision.organization, decision.key_minute, decision.key_hour)
        assert [window.remaining for window in windows] == [7, 2, 4]
    assert await redis.zcard(slots_key(limits.organization_id)) == 3


async def test_limits_count_per_organization_and_per_key(limiter: RateLimiter) -> None:
    first, other = make_limits(per_minute=2), make_limits(per_minute=2)
    second_key = Limits(first.organization_id, other.key_id, first.per_minute, first.concurrent, 5, None)

    await admit(limiter, first)
    of_second_key = (await admit(limiter, second_key))[0]
    of_other = (await admit(limiter, other))[0]

    assert of_second_key.key_minute is not None
    assert (of_second_key.organization.remaining, of_second_key.key_minute.remaining) == (0, 4)
    assert of_other.organization.remaining == 1
    assert (await admit(limiter, first))[0].refusal is Refusal.MINUTE


async def test_remaining_counts_down_and_reset_is_when_the_oldest_request_leaves(
    redis: Redis, limiter: RateLimiter
) -> None:
    limits = make_limits(per_minute=5)

    decisions = await admit(limiter, limits, 7)

    assert [decision.organization.remaining for decision in decisions] == [4, 3, 2, 1, 0, 0, 0]
    ((_, oldest),) = await redis.zrange(minute_key(limits.organization_id), 0, 0, withscores=True)
    leaves_at = oldest / MICROSECONDS + MINUTE_SECONDS
    assert {decision.organization.reset_at for decision in decisions} == {ceil(leaves_at)}
    assert 0 < decisions[-1].wait_seconds <= MINUTE_SECONDS
    assert decisions[-1].wait_seconds < decisions[-2].wait_seconds


async def test_each_request_leaves_the_minute_at_its_own_time(redis: Redis, limiter: RateLimiter) -> None:
    limits = make_limits(per_minute=3)
    for _ in range(3):
        await admit(limiter, limits)
        await age(redis, 15, minute_key(limits.organization_id))

    # The oldest request is 45 s old, the others 30 s and 15 s.
    assert (await admit(limiter, limits))[0].refusal is Refusal.MINUTE
    for _ in range(3):
        await age(redis, 15, minute_key(limits.organization_id))
        assert [decision.refusal for decision in await admit(limiter, limits, 2)] == [None, Refusal.MINUTE]


async def test_a_minute_partly_within_the_hour_counts_in_full(redis: Redis, limiter: RateLimiter) -> None:
    limits = make_limits(key_per_hour=3)
    first_minute = await same_minute(redis, limiter, limits, minutes_ago=60)

    (refused,) = await admit(limiter, limits)

    assert refused.refusal is Refusal.HOUR
    assert refused.key_hour is not None
    # The bucket's last request may have arrived at the end of its minute, so the bucket counts for an hour after that.
    assert refused.key_hour.reset_at == (first_minute + 61) * MINUTE_SECONDS
    assert 0 < refused.wait_seconds <= MINUTE_SECONDS


async def test_a_minute_before_the_hour_does_not_count(redis: Redis, limiter: RateLimiter) -> None:
    limits = make_limits(key_per_hour=3)
    await same_minute(redis, limiter, limits, minutes_ago=61)

    (admitted,) = await admit(limiter, limits)

    assert admitted.refusal is None
    assert admitted.key_hour is not None
    assert admitted.key_hour.remaining == 2


async def test_keys_of_windows_expire(redis: Redis, limiter: RateLimiter) -> None:
    limits = make_limits(key_per_minute=5, key_per_hour=5)
    await admit(limiter, limits)

    for key, seconds in (
        (minute_key(limits.organization_id), 61),
        (minute_key(limits.key_id), 61),
        (slots_key(limits.organization_id), 60),
        (hour_key(limits.key_id), 3720),
    ):
        assert seconds - 10 < await redis.ttl(key) <= seconds


async def test_a_flush_of_redis_overshoots_by_at_most_one_window(redis: Redis, limiters: list[RateLimiter]) -> None:
    limits = make_limits(per_minute=60)

    async def storm() -> int:
        decided = await admit_many(limiters, limits)
        return sum(slot is not None for _, slot in decided)

    before = await storm()
    meanwhile, _ = await asyncio.gather(storm(), redis.flushall())
    after = await storm()

    assert before == 60
    assert meanwhile + after == 60


async def same_minute(redis: Redis, limiter: RateLimiter, limits: Limits, *, minutes_ago: int) -> int:
    """Make three requests and move them that many whole minutes into the past; returns their minute.

    Waits, if necessary, so that Redis's clock is still in the same minute when the test goes on.
    """
    if MINUTE_SECONDS - await redis_seconds(redis) % MINUTE_SECONDS < 10:
        await asyncio.sleep(10)
    await admit(limiter, limits, 3)
    (minute,) = await redis.hkeys(hour_key(limits.key_id))  # type: ignore[misc]  # redis-py's types
    await redis.delete(hour_key(limits.key_id))
    earlier = int(minute) - minutes_ago
    await redis.hset(hour_key(limits.key_id), str(earlier), "3")  # type: ignore[misc]  # redis-py's types
    return earlier
