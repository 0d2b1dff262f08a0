"""The limiter's decisions by Redis, in which all limits are decided at once and counted in all or in none."""

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
# Each question may take a second: on a busy machine all of them at once would take longer.
AT_ONCE = 60


async def admit(limiter: RateLimiter, limits: Limits, times: int = 1) -> list[Decision]:
    """Decisions about requests that come one after the other and go on running."""
    return [(await limiter.admit(limits))[0] for _ in range(times)]


async def admit_many(limiters: list[RateLimiter], limits: Limits) -> list[tuple[Decision, Slot | None]]:
    """What becomes of many requests, spread over the processes, many at once."""
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
async def test_of_many_at_once_exactly_the_limit_is_admitted(
    limiters: list[RateLimiter], named: dict[str, Any], refusal: Refusal
) -> None:
    limits = make_limits(**named)

    answers = await admit_many(limiters, limits)

    outcomes = Counter(decision.refusal for decision, _ in answers)
    assert outcomes == {None: min(named.values()), refusal: REQUESTS - min(named.values())}
    assert all((slot is None) == (decision.refusal is not None) for decision, slot in answers)


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


async def test_a_look_counts_nothing(redis: Redis, limiter: RateLimiter) -> None:
    limits = make_limits(per_minute=10, key_per_minute=5, key_per_hour=7)
    await admit(limiter, limits, 3)

    seen = [await limiter.look(limits) for _ in range(3)]

    for decision in seen:
        assert decision.key_minute is not None
        assert decision.key_hour is not None
        windows = (decision.organization, decision.key_minute, decision.key_hour)
        assert [window.remaining for window in windows] == [7, 2, 4]
    assert await redis.zcard(slots_key(limits.organization_id)) == 3


async def test_limits_count_for_one_organization_and_one_key(limiter: RateLimiter) -> None:
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


async def test_each_request_leaves_the_minute_by_itself(redis: Redis, limiter: RateLimiter) -> None:
    limits = make_limits(per_minute=3)
    for _ in range(3):
        await admit(limiter, limits)
        await age(redis, 15, minute_key(limits.organization_id))

    # The oldest is 45 s old, the others 30 and 15.
    assert (await admit(limiter, limits))[0].refusal is Refusal.MINUTE
    for _ in range(3):
        await age(redis, 15, minute_key(limits.organization_id))
        assert [decision.refusal for decision in await admit(limiter, limits, 2)] == [None, Refusal.MINUTE]


async def test_the_hour_counts_a_minute_that_lies_partly_within_it_whole(redis: Redis, limiter: RateLimiter) -> None:
    limits = make_limits(key_per_hour=3)
    first_minute = await same_minute(redis, limiter, limits, minutes_ago=60)

    (refused,) = await admit(limiter, limits)

    assert refused.refusal is Refusal.HOUR
    assert refused.key_hour is not None
    # The bucket's last request may have come at the very end of its minute, and leaves an hour after that.
    assert refused.key_hour.reset_at == (first_minute + 61) * MINUTE_SECONDS
    assert 0 < refused.wait_seconds <= MINUTE_SECONDS


async def test_the_hour_forgets_a_minute_that_lies_before_it(redis: Redis, limiter: RateLimiter) -> None:
    limits = make_limits(key_per_hour=3)
    await same_minute(redis, limiter, limits, minutes_ago=61)

    (admitted,) = await admit(limiter, limits)

    assert admitted.refusal is None
    assert admitted.key_hour is not None
    assert admitted.key_hour.remaining == 2


async def test_windows_are_forgotten_when_they_are_over(redis: Redis, limiter: RateLimiter) -> None:
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
        answers = await admit_many(limiters, limits)
        return sum(slot is not None for _, slot in answers)

    before = await storm()
    meanwhile, _ = await asyncio.gather(storm(), redis.flushall())
    after = await storm()

    assert before == 60
    assert meanwhile + after == 60


async def same_minute(redis: Redis, limiter: RateLimiter, limits: Limits, *, minutes_ago: int) -> int:
    """Have three requests come that many whole minutes ago; the minute of theirs.

    Begun early enough in a minute of Redis's, so that the same minute runs when the test goes on.
    """
    if MINUTE_SECONDS - await redis_seconds(redis) % MINUTE_SECONDS < 10:
        await asyncio.sleep(10)
    await admit(limiter, limits, 3)
    (minute,) = await redis.hkeys(hour_key(limits.key_id))  # type: ignore[misc]  # redis-py's types
    await redis.delete(hour_key(limits.key_id))
    earlier = int(minute) - minutes_ago
    await redis.hset(hour_key(limits.key_id), str(earlier), "3")  # type: ignore[misc]  # redis-py's types
    return earlier
