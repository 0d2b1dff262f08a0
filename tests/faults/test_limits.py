"""One organization's limits, counted over all its processes."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from dataclasses import asdict
from time import monotonic
from typing import Any

import aiohttp
import httpx
import pytest
from redis.asyncio import Redis

from app.core.database import Database
from app.rate_limits.decisions import MINUTE_SECONDS, Limits
from tests import factories, programs
from tests.faults.conftest import Replicas
from tests.rate_limits.making import make_limits, make_plan
from tests.rate_limits.responses import until_status
from tests.rate_limits.windows import MICROSECONDS, age, minute_key, redis_at, redis_seconds, slot_leases
from tests.waiting import PATIENCE, until

CHAT = "/v1/chat/completions"
HTTP_REQUESTS = 1000
# At least as many requests, half of them after the action in between; `make drills` sends most.
LIMITER_REQUESTS = 20_000 if os.environ.get("FULL") == "1" else 6_000
AT_ONCE = 60

# Makes the requests in KEYS[1] older by ARGV[1] microseconds. KEYS[2] records when each of them arrived, by a clock
# that is ahead by all the time that was skipped before; KEYS[3] holds the sum of the skipped time.
_AGE_AND_REMEMBER = """
local passed = tonumber(redis.call('GET', KEYS[3]) or '0')
local requests = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #requests, 2 do
    local came_at = string.format('%.0f', requests[i + 1] + passed)
    redis.call('HSETNX', KEYS[2], requests[i], came_at)
    redis.call('ZINCRBY', KEYS[1], -tonumber(ARGV[1]), requests[i])
end
redis.call('SET', KEYS[3], string.format('%.0f', passed + ARGV[1]))
"""


@pytest.fixture
async def redis(replicas: Replicas) -> AsyncIterator[Redis]:
    opened = redis_at(replicas.valkey.url)
    yield opened
    await opened.aclose(close_connection_pool=True)


async def storm(replicas: Replicas, headers: dict[str, str], count: int) -> Counter[int]:
    """How often each status was returned for this many requests, sent concurrently to all processes."""
    statuses: Counter[int] = Counter()
    requests = iter(range(count))

    async def ask(session: aiohttp.ClientSession) -> None:
        for number in requests:
            async with session.get(f"{replicas.base_url(number)}/credits") as response:
                await response.read()
                statuses[response.status] += 1

    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session) for _ in range(AT_ONCE)))
    return statuses


async def test_three_processes_together_admit_exactly_the_plans_limit(
    replicas: Replicas, database: Database, redis: Redis
) -> None:
    plan = await make_plan(database, per_minute=60)
    organization = await factories.make_organization(database, plan=plan)

    began = await redis_seconds(redis)
    first = await storm(replicas, organization.headers, HTTP_REQUESTS)
    # Make the requests exactly five seconds old, no matter how long they took.
    await age(redis, 5 - (await redis_seconds(redis) - began), minute_key(organization.id))
    meanwhile = await storm(replicas, organization.headers, HTTP_REQUESTS)
    await age(redis, 60, minute_key(organization.id))
    second = await storm(replicas, organization.headers, HTTP_REQUESTS)

    assert first == {200: 60, 429: HTTP_REQUESTS - 60}
    assert meanwhile == {429: HTTP_REQUESTS}
    assert second == first


async def test_no_minute_holds_more_than_the_limit(replicas: Replicas, redis: Redis) -> None:
    """Thousands of requests in three processes, while several minutes are skipped for them."""
    limits = make_limits(per_minute=300)
    keys = [minute_key(limits.organization_id), f"came:{limits.key_id}", f"passed:{limits.key_id}"]

    async def skip_time() -> None:
        while True:
            await redis.eval(_AGE_AND_REMEMBER, 3, *keys, str(2 * MICROSECONDS))  # type: ignore[misc]  # redis-py's types
            await asyncio.sleep(0.02)

    async def until_minutes_have_passed() -> None:
        await until(lambda: has_passed(redis, keys[2], 3 * MINUTE_SECONDS))
        # On a busy machine the processes may hardly have run meanwhile.
        await until(lambda: have_come(redis, keys[1], 2 * limits.per_minute))

    flying = asyncio.create_task(skip_time())
    admitted = await run_limiters(replicas.valkey.url, limits, until_minutes_have_passed())
    flying.cancel()
    await redis.eval(_AGE_AND_REMEMBER, 3, *keys, "0")  # type: ignore[misc]  # redis-py's types

    came = await redis.hvals(keys[1])  # type: ignore[misc]  # redis-py's types
    moments = sorted(int(moment) / MICROSECONDS for moment in came)
    assert len(moments) == admitted > 300
    gaps = [later - earlier for earlier, later in zip(moments, moments[300:], strict=False)]
    assert min(gaps) >= MINUTE_SECONDS
    assert sum(moment < moments[0] + MINUTE_SECONDS for moment in moments) == 300


async def test_a_flush_opens_one_window_more(replicas: Replicas, redis: Redis) -> None:
    """The flush comes during thousands of requests in three processes, once the first window is full."""
    limits = make_limits(per_minute=300)

    async def is_full() -> bool:
        return bool(await redis.zcard(minute_key(limits.organization_id)) >= limits.per_minute)

    async def flush() -> None:
        await until(is_full)
        await redis.flushall()

    began = monotonic()
    admitted = await run_limiters(replicas.valkey.url, limits, flush())

    # If the machine is so slow that minutes pass, each of them admits as many again.
    minutes = int((monotonic() - began) // MINUTE_SECONDS)
    assert 2 * limits.per_minute <= admitted <= (2 + minutes) * limits.per_minute


async def test_three_processes_together_run_no_more_requests_than_the_plan_allows(
    replicas: Replicas, database: Database, redis: Redis
) -> None:
    plan = await make_plan(database, per_minute=50, concurrent=5)
    organization = await factories.make_organization(database, plan=plan)
    chat = {"messages": [{"role": "user", "content": "Count to 2000, slowly"}], "stream": True}

    async with AsyncExitStack() as running:
        client = await running.enter_async_context(httpx.AsyncClient(headers=organization.headers, timeout=30))
        streams = [client.stream("POST", replicas.base_url(number) + CHAT, json=chat) for number in range(30)]
        responses = await asyncio.gather(*(running.enter_async_context(stream) for stream in streams))

        refused = [response for response in responses if response.status_code != 200]
        assert {response.status_code for response in refused} == {429}
        assert len(responses) - len(refused) == 5
        codes = {json.loads(await response.aread())["error"]["code"] for response in refused}
        assert codes == {"concurrency_limit_exceeded"}
        assert len(await slot_leases(redis, organization.id)) == 5

    async with (
        asyncio.timeout(PATIENCE),
        httpx.AsyncClient(headers=organization.headers, timeout=PATIENCE) as client,
    ):
        for number in range(3):
            freed = await until_status(client, f"{replicas.base_url(number)}/credits", 200)
            # Five streams and the earlier requests of this loop; the refused requests do not count.
            assert freed.headers["X-RateLimit-Remaining"] == str(50 - 5 - 1 - number)
    assert await slot_leases(redis, organization.id) == []


async def test_requests_are_served_while_redis_is_away(replicas: Replicas, database: Database, redis: Redis) -> None:
    plan = await make_plan(database, per_minute=100)
    first, second = [await factories.make_organization(database, plan=plan) for _ in range(2)]
    assert await storm(replicas, first.headers, 50) == {200: 50}

    async def has_begun() -> bool:
        return bool(await redis.zcard(minute_key(first.id)) > 50)

    storming = asyncio.create_task(storm(replicas, first.headers, 500))
    await until(has_begun)
    replicas.valkey.kill()
    statuses = await storming + await storm(replicas, first.headers, 500)
    replicas.valkey.start()
    probe = await factories.make_organization(database, plan=await make_plan(database, per_minute=100_000))
    async with httpx.AsyncClient(headers=probe.headers, timeout=PATIENCE) as client:
        await until(lambda: do_count_together(replicas, client))

    # Each process had a window of its own, in addition to what was admitted by Redis.
    assert statuses.keys() == {200, 429}
    assert 100 < statuses[200] <= 300 + 50
    # Now Redis decides for all processes again.
    assert await storm(replicas, second.headers, 500) == {200: 100, 429: 400}


async def have_come(redis: Redis, key: str, count: int) -> bool:
    """Whether so many requests were admitted, and seen when time was skipped."""
    return bool(await redis.hlen(key) >= count)  # type: ignore[misc]  # redis-py's types


async def has_passed(redis: Redis, key: str, seconds: float) -> bool:
    """Whether this much time has been skipped, according to the sum under the key."""
    return int(await redis.get(key) or 0) >= seconds * MICROSECONDS


async def do_count_together(replicas: Replicas, client: httpx.AsyncClient) -> bool:
    """Whether all processes ask Redis again, so that each sees the request that another has just admitted."""
    responses = [await client.get(f"{replicas.base_url(number)}/credits") for number in range(3)]
    first, second, third = (int(response.headers["X-RateLimit-Remaining"]) for response in responses)
    return first == second + 1 == third + 2


async def run_limiters(redis_url: str, limits: Limits, meanwhile: Coroutine[Any, Any, None]) -> int:
    """How many requests three concurrent processes admit before, during and after an action."""
    command = ["-m", "tests.faults.limiter_storm", redis_url, json.dumps(asdict(limits)), str(LIMITER_REQUESTS // 6)]
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, *command, cwd=programs.ROOT, stdin=pipe, stdout=pipe)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    for process in processes:
        write_to(process, b"go\n")
    await meanwhile
    responses = await asyncio.gather(*(process.communicate(b"end\n") for process in processes))
    return sum(int(output) for output, _ in responses)


def write_to(process: asyncio.subprocess.Process, line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
