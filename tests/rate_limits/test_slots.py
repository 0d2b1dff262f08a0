"""Slots of running requests: leases that a running process renews and that expire after it is killed."""

import asyncio
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from app.rate_limits.decisions import Limits, Refusal
from app.rate_limits.limiter import LEASE_SECONDS, RENEW_SECONDS, RateLimiter, Slot
from devstack.valkey import Valkey
from tests.rate_limits.making import make_limits
from tests.rate_limits.proxy import proxy_to
from tests.rate_limits.windows import age, redis_at, slot_leases, slots_key


async def take(limiter: RateLimiter, limits: Limits) -> Slot:
    """Have a request admitted; returns its slot."""
    decision, slot = await limiter.admit(limits)
    assert decision.refusal is None
    assert slot is not None
    return slot


async def is_full(limiter: RateLimiter, limits: Limits) -> bool:
    """Whether one more request is refused because of those that run."""
    return (await limiter.admit(limits))[0].refusal is Refusal.CONCURRENCY


async def test_a_released_slot_is_free_for_the_next_request(limiter: RateLimiter) -> None:
    limits = make_limits(concurrent=1)

    for _ in range(3):
        slot = await take(limiter, limits)
        assert await is_full(limiter, limits)
        await limiter.release(slot)


async def test_releasing_a_slot_is_idempotent(limiter: RateLimiter) -> None:
    limits = make_limits(concurrent=2)
    released = await take(limiter, limits)
    await limiter.release(released)
    await take(limiter, limits)
    await take(limiter, limits)

    await limiter.release(released)

    assert await is_full(limiter, limits)


async def test_a_process_cannot_release_the_slot_of_another(limiters: list[RateLimiter]) -> None:
    limits = make_limits(concurrent=1)
    slot = await take(limiters[0], limits)

    await limiters[1].release(slot)

    assert await is_full(limiters[2], limits)


async def test_a_slot_that_is_not_renewed_expires(redis: Redis, limiter: RateLimiter) -> None:
    limits = make_limits(concurrent=1)
    await take(limiter, limits)
    (lease,) = await slot_leases(redis, limits.organization_id)
    assert 2 * RENEW_SECONDS < lease <= LEASE_SECONDS

    await age(redis, LEASE_SECONDS, slots_key(limits.organization_id))

    await take(limiter, limits)


async def test_a_renewal_extends_the_lease(redis: Redis) -> None:
    limiter = RateLimiter(redis)
    first, second = make_limits(concurrent=2), make_limits(concurrent=1)
    for limits in (first, first, second):
        await take(limiter, limits)
        await age(redis, LEASE_SECONDS - RENEW_SECONDS, slots_key(limits.organization_id))

    await limiter.renew()

    leases = [lease for limits in (first, second) for lease in await slot_leases(redis, limits.organization_id)]
    assert len(leases) == 3
    assert all(2 * RENEW_SECONDS < lease <= LEASE_SECONDS for lease in leases)
    assert RENEW_SECONDS * 2 < LEASE_SECONDS, "a renewal may fail once"


async def test_slots_are_restored_after_a_flush(redis: Redis) -> None:
    limiter, other_process = RateLimiter(redis), RateLimiter(redis)
    limits = make_limits(concurrent=2)
    kept, released = await take(limiter, limits), await take(limiter, limits)
    await redis.flushall()
    await limiter.release(released)

    await limiter.renew()

    await take(other_process, limits)
    assert await is_full(other_process, limits)
    await limiter.release(kept)
    await take(other_process, limits)


async def test_a_release_waits_for_a_running_renewal(valkey: Valkey, redis: Redis) -> None:
    """A renewal that arrived after the release would take the slot again, and nobody would release it."""
    limits = make_limits(concurrent=1)
    async with proxy_to(valkey.url) as (proxy, url):
        distant_redis = redis_at(url)
        limiter = RateLimiter(distant_redis)
        slot = await take(limiter, limits)
        # Opens a second connection, so that the release does not wait for the renewal's.
        await asyncio.gather(distant_redis.ping(), distant_redis.ping())

        proxy.hold_next()
        renewal = asyncio.create_task(limiter.renew())
        await proxy.wait_until_held()
        release = asyncio.create_task(limiter.release(slot))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(release), 0.2)
        proxy.let_pass()
        await asyncio.gather(renewal, release)
        await distant_redis.aclose(close_connection_pool=True)

    assert await slot_leases(redis, limits.organization_id) == []


@pytest.mark.parametrize("rounds", [30])
async def test_releases_during_renewals_leave_no_slot_taken(redis: Redis, rounds: int) -> None:
    limiter = RateLimiter(redis)
    limits = make_limits()

    for _ in range(rounds):
        slots = [await take(limiter, limits) for _ in range(5)]
        releases = [limiter.release(slot) for slot in slots]
        await asyncio.gather(limiter.renew(), *releases[:3], limiter.renew(), *releases[3:])

    assert await slot_leases(redis, limits.organization_id) == []
