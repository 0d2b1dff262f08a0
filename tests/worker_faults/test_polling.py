"""Polls of many predictions: a fault of one of them, or of the vendor's list, does not affect the others.

No worker runs at this site: the tests run its steps themselves.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from app.core.redis_keys import redis_key
from devstack.vendors import choose_vendors
from tests.vendors_simulator import VendorsSimulator, vendors_simulator
from tests.waiting import until
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench, open_workbench
from tests.worker_faults.conftest import NewSite

OrderFault = Callable[[str, int], None]

# The budget refills so slowly that a test can count the calls that are taken from it.
_FEW_READS = {"replicate_reads_per_minute": 100}
# Enough due attempts for the poller to read the vendor's list.
_MANY = 32


@pytest.fixture(scope="module")
def hurried_vendors() -> Iterator[VendorsSimulator]:
    """Vendors of their own: their clock is moved, and other tests need one that is right."""
    with vendors_simulator("--seed", "1") as simulator:
        yield simulator


@pytest.fixture(scope="module")
async def site(make_site: NewSite, hurried_vendors: VendorsSimulator) -> dict[str, str]:
    """The module's own site, which may start all generations at once."""
    vendors = choose_vendors({}, urlsplit(hurried_vendors.url).netloc).environ
    return await make_site(REPLICATE_CREATES_PER_MINUTE="100000", **vendors)


@pytest.fixture
async def workbench(site: dict[str, str], hurried_vendors: VendorsSimulator) -> AsyncIterator[Workbench]:
    async with open_workbench(site, hurried_vendors) as opened:
        yield opened


@pytest.fixture
async def worker(workbench: Workbench) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(workbench.resources.settings) as opened:
        await opened.resources.redis.flushdb()
        yield opened


@pytest.fixture
async def due(workbench: Workbench, worker: ManualWorker, hurried_vendors: VendorsSimulator) -> list[str]:
    """Attempts whose predictions have ended at the vendor."""
    asked = [await workbench.ask("simulator/text") for _ in range(_MANY)]
    await asyncio.gather(*(worker.start(content_id) for content_id in asked))
    hurried_vendors.skip(60)
    return asked


@pytest.fixture
def order_fault(hurried_vendors: VendorsSimulator) -> Iterator[OrderFault]:
    """A function that makes a fault happen in the next `times` requests it applies to."""
    url = f"{hurried_vendors.url}/_sim/faults"

    def order(fault: str, times: int) -> None:
        httpx.post(url, json={"fault": fault, "times": times}).raise_for_status()

    yield order
    httpx.delete(url).raise_for_status()


async def make_due(workbench: Workbench) -> None:
    async with workbench.resources.database.transaction() as tx:
        await tx.execute(
            "UPDATE generations SET due_at = now() WHERE organization_id = $1 AND outcome IS NULL",
            workbench.organization.id,
        )


async def observed(workbench: Workbench, asked: list[str]) -> int:
    """For how many of these the outcome is known."""
    return sum([(await workbench.row(content_id)).outcome is not None for content_id in asked])


async def test_attempts_are_polled_one_by_one_if_the_list_fails(
    workbench: Workbench, worker: ManualWorker, order_fault: OrderFault, due: list[str]
) -> None:
    order_fault("list-500", 1000)

    async def all_observed() -> bool:
        await make_due(workbench)
        await worker.steps.poll.run()
        return await observed(workbench, due) == _MANY

    # Single polls that fail, as on a machine with much to do, are made again, too.
    await until(all_observed)


async def test_after_a_throttled_list_nothing_is_polled_before_the_wait_is_over(
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
    """The attempts' predictions come after two hundred newer ones of the same account that belong to no content."""
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

    # Three pages, and no single polls, because all of them are on the list. The budget refills by less than a call.
    assert 1 < taken <= 3
    assert await observed(workbench, due) == _MANY


async def tokens_left(worker: ManualWorker) -> float:
    """How many reads were left in the vendor's budget when one was last taken."""
    redis = worker.resources.redis
    (key,) = [key async for key in redis.scan_iter(match=redis_key("vendor", "*", "reads"))]
    (tokens,) = await redis.hmget(key, ["tokens"])  # type: ignore[misc]  # redis-py's types
    return float(tokens)
