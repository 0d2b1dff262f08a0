"""The object store has no room while everybody asks for everything: nothing is bought that could not be stored.

Only root can mount a small disk, so this belongs to `make drills`.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.core.sites import create_database
from tests.drills.full_s3 import s3_that_fills
from tests.drills.judging import check_books, check_kept, check_objects, closed_books
from tests.drills.load import KINDS, Load
from tests.drills.measured import note, seconds, told
from tests.drills.outcomes import refusals
from tests.drills.product import Product, running_product, running_valkey
from tests.drills.small_disks import small_disk
from tests.storage.faulty_s3 import Reply
from tests.vendors_simulator import vendors_simulator
from tests.waiting import until

# More than a few outputs need, below which a disk counts as full.
_MEGABYTES = 100
_FULL_SECONDS = 15.0
_COMPLETED = "SELECT count(*) FROM generations WHERE status = 'completed'"
_UNENDED = "SELECT count(*) FROM generations WHERE status NOT IN ('completed', 'failed')"


@dataclass(frozen=True)
class Filling:
    """A store: what the product is told of it, and what takes its room away and gives it back."""

    settings: dict[str, str]
    fill: Callable[[], None]
    empty: Callable[[], None]


@asynccontextmanager
async def folder_store(folder: Path) -> AsyncIterator[Filling]:
    """A folder on a small disk."""
    with small_disk(folder, megabytes=_MEGABYTES) as disk:
        yield Filling({"LOCAL_STORAGE_DIR": str(folder / "objects")}, disk.fill, disk.empty)


def s3_store(reply: Reply) -> Callable[[Path], AbstractAsyncContextManager[Filling]]:
    """A bucket that answers every write like this."""

    @asynccontextmanager
    async def opened(folder: Path) -> AsyncIterator[Filling]:
        async with s3_that_fills(folder) as (front, settings):
            yield Filling(settings, lambda: setattr(front, "refusal", reply), lambda: setattr(front, "refusal", None))

    return opened


STORES = {
    "a folder": (folder_store, "full"),
    "S3: 507 XMinioStorageFull": (s3_store(Reply(507, "XMinioStorageFull")), "full"),
    "S3: 507 without a code": (s3_store(Reply(507)), "full"),
    "S3: 403 QuotaExceeded": (s3_store(Reply(403, "QuotaExceeded")), "full"),
    "S3: 500 InternalError": (s3_store(Reply(500, "InternalError")), "unavailable"),
}


async def completed(product: Product) -> int:
    return int(await product.database.fetchval(_COMPLETED))


if os.environ.get("FULL") == "1":

    @pytest.mark.timeout(900)
    @pytest.mark.parametrize("name", STORES)
    async def test_a_store_without_room_stops_generations_and_nothing_else(
        environment: dict[str, str], run_folder: Path, name: str
    ) -> None:
        open_store, state = STORES[name]
        folder = run_folder / f"store-{list(STORES).index(name)}"
        url = await create_database(environment["DATABASE_URL"])
        with running_valkey(folder / "valkey") as valkey, vendors_simulator() as vendors:
            async with open_store(folder / "store") as store:
                waits = {"GENERATION_WAIT_SECONDS": "2"}
                settings = {"DATABASE_URL": url, "REDIS_URL": valkey.url, **waits, **store.settings}
                async with running_product(environment, vendors, folder / "product", settings) as product:
                    load = Load(product.base_urls, product.organization)
                    async with load.running():
                        await load.until_good(*KINDS, since=0)
                        full_at = time.monotonic()
                        store.fill()

                        async def is_known() -> bool:
                            return await product.metric("junis_store_is_usable", store="objects") == 0

                        await until(is_known)
                        known_at = time.monotonic()
                        await product.shows(objects=state)
                        status = (await product.readiness())[0]
                        bought = len(vendors.log("prediction"))
                        ended = await completed(product)
                        await asyncio.sleep(_FULL_SECONDS)
                        bought_since = len(vendors.log("prediction")) - bought
                        ended_since = await completed(product) - ended
                        await load.until_good(*KINDS, since=known_at)
                        room_at = time.monotonic()
                        store.empty()
                        waiting = int(await product.database.fetchval(_UNENDED))

                        async def goes_on() -> bool:
                            return await completed(product) > ended + ended_since

                        await until(goes_on)
                        first_at = time.monotonic()

                    product.check_alive()
                    assert status == 200
                    assert (bought_since, ended_since) == (0, 0)
                    books = await closed_books(product)
                    check_books(books)
                    check_kept(books, load.outcomes)
                    assert await check_objects(product) == books.statuses["completed"] == books.statuses.total()
                    note(
                        "disk-full.md",
                        "store",
                        name,
                        told(refusals(load.outcomes)),
                        seconds(known_at - full_at),
                        str(waiting),
                        seconds(first_at - room_at),
                    )
