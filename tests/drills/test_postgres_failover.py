"""The primary of Postgres dies under load and its standby takes over: everything goes on with the other host.

With synchronous replication nothing is lost. With asynchronous replication the last moments may be, as if they had
never been, and what is left is right all the same.
"""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from app.core.crypto import sha256
from tests import factories
from tests.drills.judging import check_books, check_kept, check_objects, closed_books, let_lost_turns_expire, lost_of
from tests.drills.load import KINDS, TURNS, Load
from tests.drills.measured import note, seconds, told
from tests.drills.outcomes import first_good, refusals
from tests.drills.product import Product, running_product, running_valkey
from tests.drills.standbys import replicated
from tests.vendors_simulator import vendors_simulator
from tests.waiting import until

_LISTENERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'junis-listener'"


async def listeners(product: Product) -> int:
    """How many connections listen to the Postgres that takes writes now."""
    return int(await product.database.fetchval(_LISTENERS))


async def check_revocation(product: Product) -> None:
    """Check that a key that is revoked now is refused by all APIs at once, although they knew it."""
    secret = await factories.make_key(product.database, product.organization)
    for expected in (200, 401):
        for url in product.base_urls:
            async with httpx.AsyncClient(headers={"X-API-Key": secret}, timeout=30) as client:
                assert (await client.get(f"{url}/credits")).status_code == expected
        async with product.database.transaction() as tx:
            await tx.execute("UPDATE api_keys SET revoked_at = now() WHERE key_hash = $1", sha256(secret))


if os.environ.get("FULL") == "1":

    @pytest.mark.timeout(900)
    @pytest.mark.parametrize("replication", ["synchronous", "asynchronous", "asynchronous, behind"])
    async def test_another_postgres_takes_over(environment: dict[str, str], run_folder: Path, replication: str) -> None:
        folder = run_folder / f"failover-{replication}"
        with (
            replicated(folder / "postgres") as pair,
            running_valkey(folder / "valkey") as valkey,
            vendors_simulator() as vendors,
        ):
            if replication == "synchronous":
                await pair.be_synchronous()
            settings = {"DATABASE_URL": pair.url, "REDIS_URL": valkey.url}
            async with running_product(environment, vendors, folder / "product", settings) as product:
                load = Load(product.base_urls, product.organization)
                async with load.running():
                    await load.until_good(*KINDS, since=0)
                    listening = await listeners(product)
                    assert listening >= len(product.apis)
                    if replication.endswith("behind"):
                        # The standby gets nothing for a while, as over a network that is slow.
                        for sender in await pair.senders():
                            os.kill(sender, signal.SIGSTOP)
                        await load.until_good(*TURNS, since=time.monotonic(), times=2)
                    killed_at = time.monotonic()
                    pair.crash()
                    await until(lambda: load.is_refused(503, since=killed_at))
                    promoted_at = time.monotonic()
                    await pair.promote()
                    await load.until_good(*KINDS, since=promoted_at)
                    await product.shows(database="ok")

                    async def are_notified() -> bool:
                        return await listeners(product) == listening

                    await until(are_notified)
                    await check_revocation(product)

                product.check_alive()
                if replication.endswith("behind"):
                    await let_lost_turns_expire(product)
                books = await closed_books(product)
                check_books(books)
                lost = lost_of(books, load.outcomes)
                if replication == "synchronous":
                    check_kept(books, load.outcomes)
                early = [outcome for outcome in load.outcomes if outcome.ended < killed_at]
                late = [outcome for outcome in load.outcomes if outcome.ended >= killed_at]
                # What was answered by the new primary is there.
                assert lost_of(books, [outcome for outcome in late if outcome.began >= promoted_at]) == []
                assert await check_objects(product) == books.statuses["completed"]
                note(
                    "failover.md",
                    "postgres",
                    replication,
                    told(refusals(outcome for outcome in late if outcome.kind in TURNS)),
                    seconds(promoted_at - killed_at),
                    seconds(first_good(load.outcomes, promoted_at, *TURNS)),
                    seconds(first_good(load.outcomes, promoted_at, "generation")),
                    f"{len({line.partition(':')[0] for line in lost})} of {sum(o.is_good for o in early)}",
                )
