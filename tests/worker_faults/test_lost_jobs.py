"""What a worker had in hand when it was killed or stopped keeps no other work waiting, and is itself not lost."""

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen
from typing import Protocol

import httpx
import pytest

from app.generations.service import START_JOB
from app.queue.arq import queue_of
from tests import programs
from tests.core.sites import settings_of
from tests.vendors_simulator import VendorsSimulator
from tests.worker.workbench import Workbench
from tests.worker_faults.locks import until_waiting
from worker.process.lifecycle import open_worker
from worker.steps.sweep import sweep

# A worker reads as many jobs of the queue at once as it has places.
_FEW_PLACES, _MANY_PLACES = "5", "30"
_COPIES = 25
# Longer than anybody would wait here.
_LONG_LEASE = "600"


class StartWorker(Protocol):
    def __call__(self, **settings: str) -> AbstractContextManager[Popen[bytes]]:
        """Runs a worker with these settings for as long as the block takes."""
        ...


@pytest.fixture
def start_worker(site: dict[str, str], run_folder: Path) -> StartWorker:
    def start(**settings: str) -> AbstractContextManager[Popen[bytes]]:
        return programs.running_worker({**site, **settings}, run_folder / "losing-worker.log")

    return start


@pytest.fixture
def _stalling_deliveries(vendors: VendorsSimulator) -> Iterator[None]:
    """No file comes to its end."""
    rules = f"{vendors.url}/_sim/faults"
    httpx.post(rules, json={"fault": "delivery-stall"}).raise_for_status()
    yield
    httpx.delete(rules).raise_for_status()


@pytest.mark.usefixtures("_stalling_deliveries")
async def test_what_a_killed_worker_had_in_hand_does_not_block_the_queue(
    workbench: Workbench, start_worker: StartWorker
) -> None:
    with start_worker(WORKER_CONCURRENCY=_MANY_PLACES) as killed:
        copies = [await workbench.ask("simulator/image") for _ in range(_COPIES)]
        for content_id in copies:
            await workbench.until_copying(content_id)
        killed.kill()
        killed.wait()

    with start_worker(WORKER_CONCURRENCY=_FEW_PLACES):
        later = await workbench.ask("simulator/text")
        ended = await workbench.until(later, lambda row: row.completed_at is not None)

    assert ended.status == "completed"
    # Their leases still run: nobody has touched them.
    assert {(await workbench.row(content_id)).status for content_id in copies} == {"processing"}


@pytest.mark.usefixtures("_stalling_deliveries")
async def test_copies_that_hang_keep_no_start_waiting(workbench: Workbench, start_worker: StartWorker) -> None:
    with start_worker(WORKER_CONCURRENCY=_FEW_PLACES):
        copies = [await workbench.ask("simulator/image") for _ in range(int(_FEW_PLACES))]
        for content_id in copies:
            await workbench.until_copying(content_id)

        later = await workbench.ask("simulator/image")
        await workbench.until_started(later)

        assert {(await workbench.row(content_id)).status for content_id in copies} == {"processing"}


async def test_a_job_that_is_killed_before_its_first_step_is_sent_again(
    workbench: Workbench, start_worker: StartWorker
) -> None:
    """It waits for a lock when its worker dies, twice: what is sent at last has the name of the second."""
    asked = await workbench.ask("simulator/text")
    async with workbench.resources.database.transaction() as tx:
        await tx.execute("SELECT FROM generated_content WHERE id = $1 FOR UPDATE", uuid.UUID(asked))
        for number in (1, 2):
            with start_worker() as killed:
                await until_waiting(workbench, number)
                killed.kill()
                killed.wait()

    with start_worker():
        ended = await workbench.until(asked, lambda row: row.completed_at is not None)

    assert ended.status == "completed"


async def test_a_job_without_its_description_is_sent_again(workbench: Workbench, start_worker: StartWorker) -> None:
    """As a flush leaves it that comes between two looks of a worker."""
    asked = await workbench.ask("simulator/text")
    redis = workbench.resources.redis
    await redis.flushdb()
    due_at = (await workbench.row(asked)).due_at
    await redis.zadd(queue_of(START_JOB), {f"{START_JOB}:{asked}:0:{due_at.timestamp()}": 1})

    with start_worker():
        ended = await workbench.until(asked, lambda row: row.completed_at is not None)

    assert ended.status == "completed"


async def test_a_job_that_still_waits_is_not_sent_a_second_time(site: dict[str, str], workbench: Workbench) -> None:
    """In a long queue each would otherwise be run twice."""
    asked = await workbench.ask("simulator/text")
    await workbench.let_lease_run_out(asked)

    async with open_worker(settings_of(site)) as context:
        await sweep(context)

    jobs = [job.decode() for job in await workbench.resources.redis.zrange(queue_of(START_JOB), 0, -1)]
    assert [job for job in jobs if asked in job] == [f"{START_JOB}:{asked}:0"]


async def test_a_worker_that_is_told_to_stop_hands_its_copy_to_another(
    workbench: Workbench, start_worker: StartWorker
) -> None:
    workbench.order_fault("delivery-slow-60", nth=1)
    with start_worker(WORKER_LEASE_SECONDS=_LONG_LEASE) as stopped:
        asked = await workbench.ask("simulator/image--big-2")
        await workbench.until_copying(asked)
        with start_worker(WORKER_LEASE_SECONDS=_LONG_LEASE):
            stopped.terminate()
            ended = await workbench.until(asked, lambda row: row.completed_at is not None)
        assert stopped.wait() == 0

    assert ended.status == "completed"
    assert len(await workbench.objects(asked)) == 1
    assert len(await workbench.charges(asked)) == 1
