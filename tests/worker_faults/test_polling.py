"""Looking at many predictions: what is wrong with one, or with the list, is nothing to the others.

No worker runs at this site: the tests look by themselves.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import httpx
import pytest

from tests.vendors_simulator import VendorsSimulator
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.conftest import NewSite

OrderFault = Callable[[str, int], None]

# Comes back so slowly that what is taken within a test can be counted.
_FEW_READS = {"replicate_reads_per_minute": 100}
# From so many on that are due, the vendor's list is asked.
_MANY = 32


@pytest.fixture(scope="module")
async def site(new_site_like_it: NewSite) -> dict[str, str]:
    """The module's own site, which may start all of them at once."""
    return await new_site_like_it(REPLICATE_CREATES_PER_MINUTE="100000")


@pytest.fixture
async def worker(workbench: Workbench) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(workbench.resources.settings) as opened:
        await opened.resources.redis.flushdb()
        yield opened


@pytest.fixture
async def due(workbench: Workbench, worker: ManualWorker, vendors: VendorsSimulator) -> list[str]:
    """Attempts whose predictions have ended at the vendor."""
    asked = [await workbench.ask("simulator/text") for _ in range(_MANY)]
    await asyncio.gather(*(worker.start(content_id) for content_id in asked))
    skip(vendors, seconds=60)
    return asked


@pytest.fixture
def order_fault(vendors: VendorsSimulator) -> Iterator[OrderFault]:
    """Has so many of the next requests of a kind go wrong."""
    url = f"{vendors.url}/_sim/faults"

    def order(fault: str, times: int) -> None:
        httpx.post(url, json={"fault": fault, "times": times}).raise_for_status()

    yield order
    httpx.delete(url).raise_for_status()


def skip(vendors: VendorsSimulator, *, seconds: float) -> None:
    """Let time pass at the vendor."""
    httpx.post(f"{vendors.url}/_sim/clock", json={"skip": seconds}).raise_for_status()


async def make_due(workbench: Workbench) -> None:
    async with workbench.resources.database.transaction() as tx:
        await tx.execute(
            "UPDATE generations SET due_at = now() WHERE organization_id = $1 AND outcome IS NULL",
            workbench.organization.id,
        )


async def observed(workbench: Workbench, asked: list[str]) -> int:
    """Of how many of these the outcome is known."""
    return sum([(await workbench.row(content_id)).outcome is not None for content_id in asked])


async def test_a_list_that_fails_does_not_hide_what_can_be_seen_singly(
    workbench: Workbench, worker: ManualWorker, order_fault: OrderFault, due: list[str]
) -> None:
    order_fault("list-500", 3)

    for _ in range(3):
        await make_due(workbench)
        await worker.steps.poll.run()

    assert await observed(workbench, due) == _MANY


async def test_a_list_that_is_throttled_lets_nobody_look_before_its_time(
    workbench: Workbench, worker: ManualWorker, order_fault: OrderFault, due: list[str]
) -> None:
    order_fault("list-429", 1)

    await make_due(workbench)
    await worker.steps.poll.run()

    assert timedelta(0) < await worker.resources.vendor_budget.wait_before_read() <= timedelta(seconds=1)
    assert await observed(workbench, due) == 0


async def test_each_page_of_the_list_takes_a_call_from_the_budget(
    workbench: Workbench, worker: ManualWorker, due: list[str]
) -> None:
    """Behind two hundred newer runs of the same account, which are nobody's here."""
    for number in range(210):
        await worker.resources.predictions.create(
            model="simulator/text", input={"prompt": str(number)}, webhook=None, cancel_after=60
        )
    await make_due(workbench)
    async with open_manual_worker(workbench.resources.settings.model_copy(update=_FEW_READS)) as frugal:
        await frugal.resources.vendor_budget.wait_before_read()
        before = await tokens_left(frugal)
        await frugal.steps.poll.run()
        taken = before - await tokens_left(frugal)

    # Three pages; singly nothing is looked at, for all of them are on the list. What came back meanwhile is less.
    assert 1 < taken <= 3
    assert await observed(workbench, due) == _MANY


async def tokens_left(worker: ManualWorker) -> float:
    """How many reads the vendor's budget lets come at once, as it was when one was taken last."""
    redis = worker.resources.redis
    (key,) = [key async for key in redis.scan_iter(match="junis:vendor:*:reads")]
    (tokens,) = await redis.hmget(key, ["tokens"])  # type: ignore[misc]  # redis-py's types
    return float(tokens)
