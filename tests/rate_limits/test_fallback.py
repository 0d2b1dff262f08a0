"""While Redis is away, each process decides by itself with the same rules."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import ConnectionPool, Redis

from app.rate_limits.decisions import Decision, Limits, Refusal
from app.rate_limits.limiter import RateLimiter, Slot
from app.rate_limits.local_windows import LocalWindows
from devstack.valkey import Valkey
from tests.rate_limits.making import make_limits
from tests.rate_limits.windows import redis_at
from tests.waiting import until

# How long the limiter decides by itself before it asks Redis again.
PAUSE_SECONDS = 1.0


@pytest.fixture
def mortal_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey that may be killed."""
    server = Valkey(tmp_path / "data", log=tmp_path / "valkey.log", durable=False)
    server.start()
    yield server
    server.stop()


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[str, list[None]]]:
    """A server that accepts connections and never responds: its URL, and an entry for each connection."""
    connections: list[None] = []
    over = asyncio.Event()

    async def keep_waiting(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(None)
        await over.wait()
        writer.close()

    server = await asyncio.start_server(keep_waiting, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", connections
    finally:
        over.set()
        server.close()


def decisions_without_redis() -> float:
    """The product's own metric of decisions made without Redis."""
    return REGISTRY.get_sample_value("junis_redis_away_total") or 0.0


def shown(decision: Decision) -> tuple[object, ...]:
    """The parts of a decision that do not depend on the time."""
    windows = (decision.organization, decision.key_minute, decision.key_hour)
    return decision.refusal, *((window.limit, window.remaining) if window else None for window in windows)


@pytest.mark.parametrize("seed", range(8))
async def test_a_process_decides_as_redis_does(limiter: RateLimiter, lonely_limiter: RateLimiter, seed: int) -> None:
    chance = random.Random(seed)
    limits = make_limits(
        per_minute=chance.randint(5, 30),
        concurrent=chance.randint(1, 6),
        key_per_minute=chance.choice([None, chance.randint(5, 30)]),
        key_per_hour=chance.choice([None, chance.randint(5, 30)]),
    )
    running: list[tuple[Slot, Slot]] = []

    for _ in range(60):
        if running and chance.random() < 0.4:
            by_redis, by_process = running.pop(chance.randrange(len(running)))
            await limiter.release(by_redis)
            await lonely_limiter.release(by_process)
        elif chance.random() < 0.1:
            assert shown(await lonely_limiter.look(limits)) == shown(await limiter.look(limits))
        else:
            decision, slot = await limiter.admit(limits)
            own_decision, own_slot = await lonely_limiter.admit(limits)
            assert shown(own_decision) == shown(decision)
            if slot and own_slot:
                running.append((slot, own_slot))


async def test_exactly_the_limit_of_many_concurrent_requests_is_admitted(lonely_limiter: RateLimiter) -> None:
    limits = make_limits(per_minute=60)

    decided = await asyncio.gather(*(lonely_limiter.admit(limits) for _ in range(300)))

    assert sum(slot is not None for _, slot in decided) == 60


async def test_failed_attempts_are_counted_without_redis(lonely_limiter: RateLimiter) -> None:
    attempts = [await lonely_limiter.fail("192.0.2.1", 3) for _ in range(4)]
    (of_another,) = [await lonely_limiter.fail("192.0.2.2", 3)]

    assert [is_within for is_within, _ in attempts] == [True, True, True, False]
    assert [window.remaining for _, window in attempts] == [2, 1, 0, 0]
    assert of_another[0]


async def test_redis_may_die_and_come_back(mortal_valkey: Valkey) -> None:
    limits = make_limits(per_minute=3)
    redis = redis_at(mortal_valkey.url)
    limiter = RateLimiter(redis)
    decision, slot = await limiter.admit(limits)
    assert slot is not None
    assert decision.organization.remaining == 2
    counted = decisions_without_redis()

    mortal_valkey.kill()
    alone = [await limiter.admit(limits) for _ in range(4)]
    await limiter.release(slot)
    await limiter.renew()
    is_within, _ = await limiter.fail(secrets.token_hex(4), 1)

    # The process starts to count at zero, because it cannot read the counts in Redis.
    assert [decision.refusal for decision, _ in alone] == [None, None, None, Refusal.MINUTE]
    assert is_within
    assert decisions_without_redis() > counted

    mortal_valkey.start()
    await until(lambda: has_remaining(limiter, limits, 2))
    decision = (await limiter.admit(limits))[0]

    # Redis kept its data through the crash, so the first request is still in its window.
    assert (decision.refusal, decision.organization.remaining) == (None, 1)
    await redis.aclose(close_connection_pool=True)


async def has_remaining(limiter: RateLimiter, limits: Limits, remaining: int) -> bool:
    """Whether the limiter reports this many remaining requests in the organization's minute."""
    return (await limiter.look(limits)).organization.remaining == remaining


async def test_repeated_outages_open_no_new_windows(mortal_valkey: Valkey) -> None:
    limits = make_limits(per_minute=10)
    redis = redis_at(mortal_valkey.url)
    limiter = RateLimiter(redis)
    admitted = 0

    for _ in range(3):
        mortal_valkey.kill()
        admitted += sum(slot is not None for _, slot in [await limiter.admit(limits) for _ in range(15)])
        mortal_valkey.start()
        await until(lambda: has_remaining(limiter, limits, 10))  # Redis decides again

    assert admitted == 10
    await redis.aclose(close_connection_pool=True)


async def test_a_redis_that_does_not_respond_delays_no_request() -> None:
    limits = make_limits()
    async with silent_server() as (url, _):
        redis = redis_at(url)
        limiter = RateLimiter(redis)

        # If each waited for Redis in turn, this would take minutes.
        async with asyncio.timeout(20):
            decided = await asyncio.gather(*(limiter.admit(limits) for _ in range(50)))

        await redis.aclose(close_connection_pool=True)
    assert all(slot is not None for _, slot in decided)


async def test_only_one_request_waits_to_see_whether_redis_is_back() -> None:
    limits = make_limits()
    async with silent_server() as (url, connections):
        pool = ConnectionPool.from_url(url, socket_timeout=0.3)
        limiter = RateLimiter(Redis(connection_pool=pool))
        await limiter.admit(limits)
        await asyncio.sleep(PAUSE_SECONDS)
        asked_before = len(connections)

        decided = await asyncio.gather(*(limiter.admit(limits) for _ in range(20)))

        assert len(connections) - asked_before == 1
        await pool.disconnect()
    assert all(slot is not None for _, slot in decided)


def test_the_number_of_remembered_addresses_is_bounded() -> None:
    windows = LocalWindows()
    addresses = [f"address-{number}" for number in range(150_000)]

    for address in addresses:
        windows.fail(address, 1)

    # The attempt of the last address is remembered, that of the first is not.
    assert not windows.fail(addresses[-1], 1)[0]
    assert windows.fail(addresses[0], 1)[0]
