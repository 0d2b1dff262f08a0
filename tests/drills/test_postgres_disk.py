"""The disk of Postgres is full while everybody asks for everything, and has room again after a while.

Only root can mount a small disk, so this belongs to `make drills`.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devstack.postgres import Postgres
from tests.drills.judging import check_books, check_kept, check_objects, closed_books
from tests.drills.load import KINDS, TURNS, Load
from tests.drills.measured import note, seconds, told
from tests.drills.outcomes import first_good, refusals
from tests.drills.postgres_servers import postgres_in, supervised
from tests.drills.product import made, running_product, running_valkey
from tests.drills.small_disks import SmallDisk, small_disk
from tests.vendors_simulator import vendors_simulator
from tests.waiting import until

_MEGABYTES = 160
_FULL_SECONDS = 15.0
# What `/readyz` says. Without room for WAL Postgres ends itself, is started again, and ends again.
_STATES = {"tables": (200, "full"), "WAL": (503, "away"), "both": (200, "full")}


@asynccontextmanager
async def on_a_small_disk(folder: Path, what: str) -> AsyncIterator[tuple[SmallDisk, Postgres, list[int]]]:
    """A Postgres with `tables`, `WAL` or `both` on a small disk, started again whenever it ends."""
    large = made(folder / "large")
    with small_disk(folder / "small", megabytes=_MEGABYTES) as disk:
        data = large if what == "WAL" else disk.folder
        wal = {"tables": large / "wal", "WAL": disk.folder / "wal"}.get(what)
        server = postgres_in(data / "postgres", wal=wal)
        async with supervised(server) as statuses:
            yield disk, server, statuses


if os.environ.get("FULL") == "1":

    @pytest.mark.timeout(900)
    @pytest.mark.parametrize("what", ["tables", "WAL", "both"])
    async def test_a_full_disk_of_postgres_loses_nothing(
        environment: dict[str, str], run_folder: Path, what: str
    ) -> None:
        folder = run_folder / f"full-{what}"
        with running_valkey(folder / "valkey") as valkey, vendors_simulator() as vendors:
            async with on_a_small_disk(folder, what) as (disk, postgres, ends):
                settings = {"DATABASE_URL": postgres.url, "REDIS_URL": valkey.url}
                async with running_product(environment, vendors, folder / "product", settings) as product:
                    load = Load(product.base_urls, product.organization)
                    async with load.running():
                        await load.until_good(*KINDS, since=0)

                        full_at = time.monotonic()
                        disk.fill()
                        await until(lambda: load.is_refused(503, since=full_at))
                        await product.shows(database=_STATES[what][1])
                        await asyncio.sleep(_FULL_SECONDS)
                        status = (await product.readiness())[0]
                        errors = await product.metric("junis_database_errors_total", reason=_STATES[what][1])

                        room_at = time.monotonic()
                        disk.empty()
                        await load.until_good(*KINDS, since=room_at)

                    product.check_alive()
                    assert status == _STATES[what][0]
                    assert errors > 0
                    books = await closed_books(product)
                    check_books(books)
                    check_kept(books, load.outcomes)
                    assert await check_objects(product) == books.statuses["completed"]
                    during = [outcome for outcome in load.outcomes if full_at <= outcome.ended < room_at]
                    reads = [outcome for outcome in during if outcome.kind == "credits"]
                    note(
                        "disk-full.md",
                        "postgres",
                        what,
                        told(refusals(outcome for outcome in during if outcome.kind != "credits")),
                        f"{sum(outcome.is_good for outcome in reads)} of {len(reads)}",
                        str(len(ends)),
                        seconds(first_good(load.outcomes, room_at, *TURNS)),
                        seconds(first_good(load.outcomes, room_at, "generation")),
                    )
