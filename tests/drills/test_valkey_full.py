"""Redis responds and takes no writes, with no memory or no disk left: everything goes on, and `/readyz` says so."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from devstack.valkey import Valkey
from tests.core.sites import create_database
from tests.drills.full_valkeys import without_memory, without_saving
from tests.drills.judging import check_books, check_kept, check_objects, closed_books
from tests.drills.load import KINDS, Load
from tests.drills.measured import note, seconds
from tests.drills.outcomes import longest, refusals
from tests.drills.product import Product, running_product, running_valkey
from tests.rate_limits.windows import slot_leases
from tests.vendors_simulator import VendorsSimulator
from tests.waiting import until

Breaking = Callable[[Valkey], AbstractAsyncContextManager[None]]


@pytest.fixture(scope="module")
def valkey(run_folder: Path) -> Iterator[Valkey]:
    with running_valkey(run_folder / "full-valkey" / "valkey") as running:
        yield running


@pytest.fixture(scope="module")
async def product(
    environment: dict[str, str], vendors: VendorsSimulator, valkey: Valkey, run_folder: Path
) -> AsyncIterator[Product]:
    url = await create_database(environment["DATABASE_URL"])
    settings = {"DATABASE_URL": url, "REDIS_URL": valkey.url}
    async with running_product(environment, vendors, run_folder / "full-valkey", settings, apis=1) as running:
        yield running


@pytest.mark.parametrize("broken", [without_memory, without_saving])
async def test_a_redis_that_takes_no_writes_stops_nothing(product: Product, valkey: Valkey, broken: Breaking) -> None:
    load = Load(product.base_urls, product.organization)
    await product.shows(redis="ok", worker="ok")

    async with load.running(clients=1):
        async with broken(valkey):
            broken_at = time.monotonic()
            await load.until_good(*KINDS, since=broken_at, times=1)
            await product.shows(redis="degraded")
        await product.shows(redis="ok", worker="ok")

    product.check_alive()
    assert refusals(load.outcomes) == {}
    books = await closed_books(product)
    check_books(books)
    check_kept(books, load.outcomes)
    assert await check_objects(product) == books.statuses["completed"] == books.statuses.total()
    async with Redis.from_url(valkey.url) as redis:
        await until(lambda: has_no_slots(redis, product))
    note("disk-full.md", "redis", broken.__name__.replace("_", " "), seconds(longest(load.outcomes, "generation")))


async def has_no_slots(redis: Redis, product: Product) -> bool:
    return not await slot_leases(redis, product.organization.id)
