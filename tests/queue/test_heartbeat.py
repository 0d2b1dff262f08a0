"""Workers report on their loops, and others read the reports."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from app.core.redis_keys import redis_key
from app.queue.heartbeat import beat, read_loops

# A key space that no worker uses.
_KEY_SPACE = 7


@pytest.fixture
async def redis(environment: dict[str, str]) -> AsyncIterator[Redis]:
    url = urlsplit(environment["REDIS_URL"])._replace(path=f"/{_KEY_SPACE}").geturl()
    async with Redis.from_url(url) as opened:
        await opened.flushdb()
        yield opened


async def test_without_a_worker_there_are_no_loops(redis: Redis) -> None:
    assert await read_loops(redis) is None


async def test_a_loop_counts_as_running_only_if_it_runs_in_every_worker(redis: Redis) -> None:
    await beat(redis, "one", {"poll": True, "sweep": True})
    await beat(redis, "other", {"poll": False, "sweep": True})

    assert await read_loops(redis) == {"poll": False, "sweep": True}


async def test_a_worker_that_falls_silent_is_forgotten(redis: Redis) -> None:
    await beat(redis, "living", {"poll": True})
    await beat(redis, "gone", {"poll": False})
    # As if half a minute had passed without a heartbeat.
    await redis.delete(redis_key("worker", "gone"))

    assert await read_loops(redis) == {"poll": True}
    assert await redis.exists(redis_key("workers")) == 1
    assert [worker async for worker in redis.sscan_iter(redis_key("workers"))] == [b"living"]


async def test_the_running_worker_reports_every_loop(stack: object, environment: dict[str, str]) -> None:
    async with Redis.from_url(environment["REDIS_URL"]) as redis:
        loops = None
        while not loops:
            loops = await read_loops(redis)

    assert set(loops) == {
        "adopt", "cancel", "copy", "end_late", "fill_capacity", "fold_list_counts", "forget_idempotency_keys",
        "forget_mails", "forget_response_events", "forget_unshown_keys", "grant_monthly_credits", "listen", "poll",
        "prune", "remove_abandoned", "send_webhooks", "settle_expired_holds", "start", "sum_up_spend", "wake_due",
        "watch_credit_alerts", "watch_objects", "watch_redis",
    }  # fmt: skip
    assert all(loops.values())
