"""What is asked of Redis at the same time shares a round trip, and each command keeps its own response."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from app.rate_limits.round_trips import RESPONSE_SECONDS, Command, RoundTrips, Script
from devstack.valkey import Valkey
from tests.rate_limits.proxy import Proxy, proxy_to
from tests.rate_limits.windows import redis_at

MANY = 50


@pytest.fixture
async def proxied(valkey: Valkey) -> AsyncIterator[tuple[Proxy, RoundTrips]]:
    """Round trips to Redis through a proxy that counts them. The first one, which also connects, has been made."""
    async with proxy_to(valkey.url) as (proxy, url):
        redis = redis_at(url)
        round_trips = RoundTrips(redis)
        await round_trips.ask(Command(("PING",)))
        yield proxy, round_trips
        await round_trips.close()
        await redis.aclose(close_connection_pool=True)


async def test_what_is_asked_at_once_is_one_round_trip_and_answered_in_order(proxied: tuple[Proxy, RoundTrips]) -> None:
    proxy, round_trips = proxied
    counter, before = f"counter-{secrets.token_hex(4)}", proxy.round_trips

    counts = await asyncio.gather(*(round_trips.ask(Command(("INCR", counter))) for _ in range(MANY)))

    assert counts == list(range(1, MANY + 1))
    assert proxy.round_trips - before == 1


async def test_what_is_asked_during_a_round_trip_shares_the_next_one(proxied: tuple[Proxy, RoundTrips]) -> None:
    proxy, round_trips = proxied
    proxy.hold_next()
    first = asyncio.create_task(round_trips.ask(Command(("PING",))))
    await proxy.wait_until_held()
    before = proxy.round_trips

    others = [asyncio.create_task(round_trips.ask(Command(("ECHO", number)))) for number in range(MANY)]
    await asyncio.sleep(0)
    proxy.let_pass()

    assert await first == b"PONG"
    assert await asyncio.gather(*others) == [str(number).encode() for number in range(MANY)]
    assert proxy.round_trips - before == 1


async def test_the_error_of_one_command_is_not_that_of_its_companions(redis: Redis) -> None:
    round_trips = RoundTrips(redis)
    name = secrets.token_hex(4)

    responses: list[object] = await asyncio.gather(
        round_trips.ask(Command(("SET", name, "text"))),
        round_trips.ask(Command(("INCR", name))),
        round_trips.ask(Command(("GET", name))),
        return_exceptions=True,
    )

    assert isinstance(responses[1], ResponseError)
    assert responses[2] == b"text"
    await round_trips.close()


async def test_a_script_that_the_server_has_forgotten_is_sent_again_and_runs_once(redis: Redis) -> None:
    round_trips = RoundTrips(redis)
    counter = secrets.token_hex(4)
    script = Script("return redis.call('INCR', KEYS[1])")
    calls = [script.call([counter], []) for _ in range(3)]
    assert await asyncio.gather(*map(round_trips.ask, calls)) == [1, 2, 3]

    await redis.script_flush()

    assert await asyncio.gather(*map(round_trips.ask, calls)) == [4, 5, 6]
    await round_trips.close()


async def test_whoever_has_given_up_before_the_round_trip_asks_nothing(proxied: tuple[Proxy, RoundTrips]) -> None:
    proxy, round_trips = proxied
    counter = secrets.token_hex(4)
    proxy.hold_next()
    first = asyncio.create_task(round_trips.ask(Command(("PING",))))
    await proxy.wait_until_held()
    given_up = asyncio.create_task(round_trips.ask(Command(("INCR", counter))))
    await asyncio.sleep(0)

    given_up.cancel()
    proxy.let_pass()
    await first

    assert await round_trips.ask(Command(("INCR", counter))) == 1


async def test_a_late_response_fails_all_that_wait_and_is_nobody_elses(proxied: tuple[Proxy, RoundTrips]) -> None:
    proxy, round_trips = proxied
    proxy.hold_next()
    held = asyncio.create_task(round_trips.ask(Command(("ECHO", "late"))))
    await proxy.wait_until_held()
    behind = asyncio.create_task(round_trips.ask(Command(("ECHO", "behind"))))
    began = asyncio.get_running_loop().time()

    failures = await asyncio.gather(held, behind, return_exceptions=True)
    proxy.let_pass()

    assert all(isinstance(failure, (RedisError, OSError)) for failure in failures)
    assert asyncio.get_running_loop().time() - began >= RESPONSE_SECONDS / 2
    assert await round_trips.ask(Command(("ECHO", "next"))) == b"next"
