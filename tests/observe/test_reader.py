"""One process reads what the metrics say of all of them; when it dies or stops, another one does, within its lease."""

import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from redis.asyncio import Redis

from app.core.redis_keys import redis_key
from app.fleet import LEASE_SECONDS
from tests.conftest import METRICS_TOKEN
from tests.drills.measured import note, seconds
from tests.programs import Api, api_process
from tests.waiting import until

_LEASE = redis_key("metrics-reader")
_KEY_SPACE = 11


@pytest.fixture
async def settings(environment: dict[str, str]) -> dict[str, str]:
    """Those of processes whose Redis nobody else uses."""
    url = urlsplit(environment["REDIS_URL"])._replace(path=f"/{_KEY_SPACE}").geturl()
    async with Redis.from_url(url) as redis:
        await redis.flushdb()
    return {**environment, "REDIS_URL": url}


async def shows_the_queue(api: Api) -> bool:
    """Whether this process shows how long the queue of all of them is."""
    async with httpx.AsyncClient(timeout=30) as client:
        response = await client.get(f"{api.url}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    return "junis_queue_rows{" in response.text


async def test_a_reader_that_stops_gives_its_lease_back(settings: dict[str, str], tmp_path: Path) -> None:
    reader = api_process(settings, tmp_path / "reader.log")
    async with Redis.from_url(settings["REDIS_URL"]) as redis:
        with reader.program.serving():
            await until(lambda: shows_the_queue(reader))
            assert await redis.pttl(_LEASE) > 0

        assert await redis.get(_LEASE) is None


async def test_another_process_reads_once_the_lease_of_the_dead_reader_has_ended(
    settings: dict[str, str], tmp_path: Path
) -> None:
    async with Redis.from_url(settings["REDIS_URL"]) as redis:
        # Of a process that died a while ago.
        await redis.set(_LEASE, "dead", px=5000)
        reader = api_process(settings, tmp_path / "reader.log")
        with reader.program.serving():
            await until(lambda: shows_the_queue(reader))

            assert await redis.get(_LEASE) not in {None, b"dead"}


if os.environ.get("FULL") == "1":

    async def test_another_process_reads_within_the_lease_of_one_that_died(
        settings: dict[str, str], tmp_path: Path
    ) -> None:
        first, second = (api_process(settings, tmp_path / f"{name}.log") for name in ("first", "second"))
        with first.program.serving():
            await until(lambda: shows_the_queue(first))
            with second.program.serving():
                assert not await shows_the_queue(second)
                killed_at = time.monotonic()
                first.kill()

                await until(lambda: shows_the_queue(second))

                took = time.monotonic() - killed_at
        # A busy machine is given a little more.
        assert took < LEASE_SECONDS + 5
        note("failover.md", "reader", "dies", seconds(took))
