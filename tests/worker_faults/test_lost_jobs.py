"""Work that a worker had claimed when it was killed or stopped does not delay other work, and is not lost."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest

from app.core.clock import now
from app.generations import parking
from app.queue.arq import queue_of
from app.queue.protocol import WakeKind
from devstack.process import Process
from tests import programs
from tests.core.sites import settings_of
from tests.patient import patient_transaction
from tests.vendors_simulator import VendorsSimulator
from tests.worker.manual_worker import open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.locks import until_waiting

# How many rows of one kind a worker works on at the same time.
_LOW_CAPACITY, _HIGH_CAPACITY = "5", "30"
_COPIES = 25
# Much longer than a test waits.
_LONG_LEASE = "600"


class StartWorker(Protocol):
    def __call__(self, **settings: str) -> AbstractContextManager[Process]:
        """Runs a worker with these settings during the block."""
        ...


@pytest.fixture
def start_worker(site: dict[str, str], run_folder: Path) -> StartWorker:
    def start(**settings: str) -> AbstractContextManager[Process]:
        return programs.running_worker({**site, **settings}, run_folder / "losing-worker.log")

    return start


@pytest.fixture
def _stalling_deliveries(vendors: VendorsSimulator) -> Iterator[None]:
    """No download ends during the test."""
    vendors.set_fault("delivery-stall")
    yield
    vendors.clear_faults()


@pytest.mark.usefixtures("_stalling_deliveries")
async def test_rows_claimed_by_a_killed_worker_do_not_block_the_queue(
    workbench: Workbench, start_worker: StartWorker
) -> None:
    with start_worker(WORKER_CONCURRENCY=_HIGH_CAPACITY) as killed:
        copies = [await workbench.ask("simulator/image") for _ in range(_COPIES)]
        for content_id in copies:
            await workbench.until_copying(content_id)
        killed.kill()
        killed.wait()

    with start_worker(WORKER_CONCURRENCY=_LOW_CAPACITY):
        later = await workbench.ask("simulator/text")
        ended = await workbench.until_ended(later, is_hurried=False)

    assert ended.status == "completed"
    # Their leases have not ended, so nobody has touched them.
    assert {(await workbench.row(content_id)).status for content_id in copies} == {"processing"}


@pytest.mark.usefixtures("_stalling_deliveries")
async def test_copies_that_hang_do_not_delay_starts(workbench: Workbench, start_worker: StartWorker) -> None:
    with start_worker(WORKER_CONCURRENCY=_LOW_CAPACITY):
        copies = [await workbench.ask("simulator/image") for _ in range(int(_LOW_CAPACITY))]
        for content_id in copies:
            await workbench.until_copying(content_id)

        later = await workbench.ask("simulator/image")
        await workbench.until_started(later)

        assert {(await workbench.row(content_id)).status for content_id in copies} == {"processing"}


async def test_a_wake_whose_worker_is_killed_before_it_claims_is_sent_again(
    workbench: Workbench, start_worker: StartWorker
) -> None:
    """This happens twice: each time the worker is killed while its claim waits for a lock."""
    asked = await workbench.ask("simulator/text")
    async with patient_transaction(workbench.resources.database) as tx:
        await parking.lock_organization(tx, workbench.organization.id)
        for _ in range(2):
            with start_worker() as killed:
                await until_waiting(workbench, 1)
                killed.kill()
                killed.wait()

    with start_worker():
        ended = await workbench.until_ended(asked, is_hurried=False)

    assert ended.status == "completed"


@pytest.mark.parametrize("entry", [b"without a description", b"\xff\xfe not UTF-8"])
async def test_an_entry_that_is_not_a_wake_stops_no_worker(
    workbench: Workbench, start_worker: StartWorker, entry: bytes
) -> None:
    """A flush between two commands of a worker leaves such an entry, or another program writes it."""
    redis = workbench.resources.redis
    await redis.flushdb()
    with start_worker() as running:
        await redis.zadd(queue_of(WakeKind.START), {entry: 1})
        asked = await workbench.ask("simulator/text")
        ended = await workbench.until_ended(asked, is_hurried=False)

        assert running.poll() is None
    assert ended.status == "completed"
    assert await redis.zcard(queue_of(WakeKind.START)) == 0


async def test_a_wake_is_followed_though_an_entry_of_the_future_waits(
    workbench: Workbench, start_worker: StartWorker
) -> None:
    """As a sender with a wrong clock leaves it, or anybody who writes to the key."""
    redis = workbench.resources.redis
    await redis.zadd(queue_of(WakeKind.START), {"of the future": 2**50})
    with start_worker():
        asked = await workbench.ask("simulator/text")
        ended = await workbench.until(asked, lambda row: row.completed_at is not None)

    assert ended.status == "completed"
    await redis.delete(queue_of(WakeKind.START))


async def test_a_wake_that_still_waits_is_not_sent_a_second_time(site: dict[str, str], workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/text")
    await workbench.let_lease_run_out(asked)

    async with open_manual_worker(settings_of(site)) as worker:
        await worker.sweep()

    assert await workbench.resources.redis.zcard(queue_of(WakeKind.START)) == 1


async def test_a_worker_that_is_stopped_hands_its_copy_to_another(
    workbench: Workbench, start_worker: StartWorker
) -> None:
    workbench.order_fault("delivery-slow-60", nth=1)
    with start_worker(WORKER_LEASE_SECONDS=_LONG_LEASE) as stopped:
        asked = await workbench.ask("simulator/image--big-2")
        await workbench.until_copying(asked)
        with start_worker(WORKER_LEASE_SECONDS=_LONG_LEASE):
            stopped.terminate()
            ended = await workbench.until_ended(asked, is_hurried=False)
        assert stopped.wait() == 0

    assert ended.status == "completed"
    assert len(await workbench.objects(asked)) == 1
    assert len(await workbench.charges(asked)) == 1


async def test_a_worker_that_is_told_to_stop_hands_over_all_its_copies(
    workbench: Workbench, start_worker: StartWorker
) -> None:
    """More of them than it has connections to Postgres."""
    workbench.vendors.set_fault("delivery-stall")
    try:
        settings = {"WORKER_LEASE_SECONDS": _LONG_LEASE, "DATABASE_POOL_SIZE": "2", "WORKER_CONCURRENCY": "10"}
        with start_worker(**settings) as stopped:
            copies = [await workbench.ask("simulator/image") for _ in range(8)]
            for content_id in copies:
                await workbench.until_copying(content_id)
            stopped.terminate()
            assert stopped.wait() == 0
    finally:
        workbench.vendors.clear_faults()

    rows = [await workbench.row(content_id) for content_id in copies]
    assert [row.status for row in rows] == ["processing"] * 8
    # Due at once for any other worker, and not when ten minutes of lease have passed.
    assert all(row.due_at <= now() for row in rows)
