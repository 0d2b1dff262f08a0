"""Redis is only a hint: it is killed and restarted under load, and the worker goes on and loses nothing."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx
import pytest

from devstack.process import Process
from devstack.valkey import Valkey
from tests import programs
from tests.worker.workbench import Workbench
from tests.worker_faults.conftest import NewSite

_FEW = 10
_MANY = 40
_LATENCY_SAMPLES = 20
# How often a worker polls for jobs without being woken.
_FALLBACK_POLL_SECONDS = 0.5
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def valkey(run_folder: Path) -> Iterator[Valkey]:
    """A Valkey that no other test uses."""
    server = Valkey(run_folder / "mortal-valkey", log=run_folder / "mortal-valkey.log", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
async def site(make_site: NewSite, valkey: Valkey) -> dict[str, str]:
    return await make_site(REDIS_URL=valkey.url)


@pytest.fixture(scope="module", autouse=True)
def worker(site: dict[str, str], run_folder: Path) -> Iterator[Process]:
    with programs.running_worker(site, run_folder / "redis-worker.log") as running:
        yield running


async def test_a_wake_reaches_the_worker_before_its_next_poll(workbench: Workbench) -> None:
    delays: list[float] = []
    for _ in range(_LATENCY_SAMPLES):
        asked = await workbench.ask("simulator/text")
        row = await workbench.until(asked, lambda row: row.started_at is not None)
        assert row.started_at is not None
        delays.append((row.started_at - row.created_at).total_seconds())

    # A wake takes milliseconds; polls alone would take half of the pause on average.
    assert median(delays) < _FALLBACK_POLL_SECONDS / 2


async def test_redis_may_die_under_load(workbench: Workbench, valkey: Valkey, worker: Process) -> None:
    asked = [await workbench.ask("simulator/image") for _ in range(_MANY)]
    await until_ended(workbench, asked, count=1)
    valkey.kill()
    # Generations that are requested in the meantime are accepted, too.
    asked += [await workbench.ask("simulator/image") for _ in range(_FEW)]
    valkey.start()

    await until_ended(workbench, asked, count=len(asked))
    assert worker.poll() is None

    assert {(await workbench.row(content_id)).status for content_id in asked} == {"completed"}
    assert [len(await workbench.charges(content_id)) for content_id in asked] == [1] * len(asked)
    assert await prediction_counts(workbench, asked) == [1] * len(asked)


async def prediction_counts(workbench: Workbench, asked: list[str]) -> list[int]:
    """How many predictions the vendor has for each of these contents."""
    async with httpx.AsyncClient() as client:
        response = await client.get(f"{workbench.vendors.url}/_sim/predictions")
    prompts = Counter(prediction["input"].get("prompt") for prediction in response.json()["predictions"])
    return [prompts[(await workbench.row(content_id)).input["prompt"]] for content_id in asked]


async def until_ended(workbench: Workbench, asked: list[str], *, count: int) -> None:
    """Wait until `count` of these contents have ended, without cutting short any pause."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            rows = [await workbench.row(content_id) for content_id in asked]
            if sum(row.completed_at is not None for row in rows) >= count:
                return
            await asyncio.sleep(_LOOK_SECONDS)


async def test_while_redis_is_away_generations_are_started_copied_and_charged(
    workbench: Workbench, valkey: Valkey
) -> None:
    valkey.kill()
    try:
        asked = [await workbench.ask("simulator/image") for _ in range(_FEW)]
        await until_ended(workbench, asked, count=_FEW)
    finally:
        valkey.start()

    assert {(await workbench.row(content_id)).status for content_id in asked} == {"completed"}
    assert [len(await workbench.charges(content_id)) for content_id in asked] == [1] * _FEW
    assert await prediction_counts(workbench, asked) == [1] * _FEW
