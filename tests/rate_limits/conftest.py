from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.rate_limits.limiter import RateLimiter
from devstack.ports import free_port
from devstack.valkey import Valkey
from tests.programs import api_process, running_apis
from tests.rate_limits.proxy import Proxy, proxy_to
from tests.rate_limits.windows import redis_at
from tests.waiting import PATIENCE


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Valkey that no other program uses."""
    folder = tmp_path_factory.mktemp("valkey")
    server = Valkey(folder / "data", log=folder / "valkey.log", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
async def redis(valkey: Valkey) -> AsyncIterator[Redis]:
    opened = redis_at(valkey.url)
    yield opened
    await opened.aclose(close_connection_pool=True)


@pytest.fixture(scope="session")
async def limiter(redis: Redis) -> RateLimiter:
    """The limiter of one process. Its leases are renewed only if a test does so.

    However slow the machine is, its Redis counts as there.
    """
    return RateLimiter(redis, response_seconds=PATIENCE)


@pytest.fixture(scope="session")
async def limiters(valkey: Valkey) -> AsyncIterator[list[RateLimiter]]:
    """The limiters of three processes that share one Redis."""
    opened = [redis_at(valkey.url) for _ in range(3)]
    yield [RateLimiter(redis, response_seconds=PATIENCE) for redis in opened]
    for redis in opened:
        await redis.aclose(close_connection_pool=True)


@pytest.fixture
async def lonely_limiter() -> AsyncIterator[RateLimiter]:
    """A limiter whose Redis is away."""
    redis = redis_at(f"redis://127.0.0.1:{free_port()}/0")
    yield RateLimiter(redis)
    await redis.aclose(close_connection_pool=True)


@dataclass(frozen=True)
class WatchedApi:
    """An API process behind a proxy, and the proxies to its servers. An address may fail 3 times a minute."""

    base_url: str
    postgres: Proxy
    redis: Proxy


@pytest.fixture(scope="session")
async def watched_api(environment: dict[str, str], run_folder: Path) -> AsyncIterator[WatchedApi]:
    async with (
        proxy_to(environment["DATABASE_URL"]) as (postgres, database_url),
        proxy_to(environment["REDIS_URL"]) as (redis, redis_url),
    ):
        settings = {
            **environment,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8",
            "FAILED_ATTEMPTS_PER_MINUTE": "3",
        }
        async with running_apis(api_process(settings, run_folder / "watched-api.log")) as (api,):
            yield WatchedApi(api.base_url, postgres, redis)
