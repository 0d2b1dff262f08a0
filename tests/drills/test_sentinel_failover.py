"""The leader of Redis dies under load, and real Sentinels make its replica the leader: nobody is refused for that."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from tests.core.sites import create_database
from tests.drills.judging import check_books, check_kept, check_objects, closed_books
from tests.drills.load import KINDS, Load
from tests.drills.measured import note, seconds, told
from tests.drills.outcomes import longest, refusals
from tests.drills.product import made, running_product
from tests.queue.valkeys import PASSWORD, ConfiguredValkey, Sentinel, running, tell
from tests.rate_limits.windows import slot_leases
from tests.vendors_simulator import vendors_simulator
from tests.waiting import until

_SENTINELS = 3
_QUORUM = 2
_DOWN_AFTER_MS = 2000


@dataclass(frozen=True)
class Guarded:
    """A leader, its replica, and the Sentinels that watch them."""

    leader: ConfiguredValkey
    replica: ConfiguredValkey
    sentinels: list[Sentinel]

    @property
    def url(self) -> str:
        """What the product is told."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/main/0?sentinel_password={PASSWORD}"

    async def watch(self) -> None:
        """Let the replica follow the leader, and the Sentinels watch both and know of each other."""
        async with self.replica.client() as replica:
            await replica.replicaof("127.0.0.1", self.leader.port)
        for sentinel in self.sentinels:
            async with sentinel.client() as client:
                await tell(client, "SENTINEL", "MONITOR", "main", "127.0.0.1", self.leader.port, _QUORUM)
                for name, value in (("auth-pass", PASSWORD), ("down-after-milliseconds", _DOWN_AFTER_MS)):
                    await tell(client, "SENTINEL", "SET", "main", name, value)
        await until(self._are_acquainted)

    async def is_led_by_replica(self) -> bool:
        """Whether the replica takes writes."""
        async with self.replica.client() as replica:
            try:
                return bool((await replica.info("replication"))["role"] == "master")
            except RedisError:
                return False

    async def _are_acquainted(self) -> bool:
        for sentinel in self.sentinels:
            async with sentinel.client() as client:
                known = await tell(client, "SENTINEL", "MASTER", "main")
            # A list of names and values, or a mapping, as the version of the protocol has it.
            values = known if isinstance(known, dict) else dict(zip(known[::2], known[1::2], strict=True))
            texts = {_text(name): _text(value) for name, value in values.items()}
            if int(texts["num-other-sentinels"]) < _SENTINELS - 1 or int(texts["num-slaves"]) < 1:
                return False
        return True


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@contextmanager
def guarded(folder: Path) -> Iterator[Guarded]:
    """Run a leader, a replica and the Sentinels during the block."""
    leader, replica = (ConfiguredValkey(made(folder / name), {}) for name in ("leader", "replica"))
    sentinels = [Sentinel(made(folder / f"sentinel-{number}")) for number in range(_SENTINELS)]
    with running(leader, replica, *sentinels):
        yield Guarded(leader, replica, sentinels)


if os.environ.get("FULL") == "1":

    @pytest.mark.timeout(900)
    async def test_a_failover_of_the_sentinels_refuses_nobody(environment: dict[str, str], run_folder: Path) -> None:
        folder = run_folder / "guarded"
        with guarded(folder / "valkeys") as there, vendors_simulator() as vendors:
            await there.watch()
            url = await create_database(environment["DATABASE_URL"])
            settings = {"DATABASE_URL": url, "REDIS_URL": there.url}
            async with running_product(environment, vendors, folder / "product", settings) as product:
                load = Load(product.base_urls, product.organization)
                async with load.running():
                    await load.until_good(*KINDS, since=0)
                    await product.shows(redis="ok", worker="ok")
                    killed_at = time.monotonic()
                    there.leader.kill()
                    await product.shows(redis="away")
                    await until(there.is_led_by_replica)
                    elected_at = time.monotonic()
                    await product.shows(redis="ok")
                    shared_at = time.monotonic()
                    await product.shows(worker="ok")
                    await load.until_good(*KINDS, since=shared_at)

                product.check_alive()
                books = await closed_books(product)
                check_books(books)
                check_kept(books, load.outcomes)
                assert await check_objects(product) == books.statuses["completed"] == books.statuses.total()
                assert refusals(load.outcomes) == {}
                async with there.replica.client() as redis:

                    async def has_no_slots() -> bool:
                        return not await slot_leases(redis, product.organization.id)

                    await until(has_no_slots)
                during = [outcome for outcome in load.outcomes if killed_at <= outcome.ended < shared_at]
                note(
                    "failover.md",
                    "sentinel",
                    f"{_DOWN_AFTER_MS} ms",
                    seconds(elected_at - killed_at),
                    seconds(shared_at - killed_at),
                    told(refusals(during)),
                    seconds(longest(during, "chat")),
                )
