"""How often Postgres is asked, and has to write, for a picture: counted, so that no machine matters.

No worker runs at this site.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median

import asyncpg
import pytest

from app.generations.media_types import TEXT
from tests import factories
from tests.chat.turns.traffic import PostgresReader, Traffic, counted
from tests.core.sites import settings_of
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.test_groups import claim_copies, claim_starts, whole

_MODEL = "simulator/image"
_TOGETHER = 10
# Other processes write to the same Postgres, if rarely.
_TRIALS = 3
# The first one prepares statements, reads the price and opens connections.
_WARM_UP = 1
_COUNT_UPDATES = """
CREATE SEQUENCE counted_updates;
CREATE FUNCTION count_update() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM nextval('counted_updates'); RETURN NULL; END $$;
CREATE TRIGGER count_updates AFTER UPDATE ON credit_accounts FOR EACH ROW EXECUTE FUNCTION count_update();
"""
_READ = """
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS writes,
       (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM counted_updates) AS updates
"""
_DUE = "UPDATE generations SET due_at = now() - interval '1 s' WHERE id = $1"


@dataclass(frozen=True)
class Cost:
    """What something costs at most.

    Attributes:
        statements: of SQL, with each BEGIN, SET and COMMIT.
        writes: transactions that write something, of which each makes Postgres flush its log.
        updates: of the account's row.
    """

    statements: int
    writes: int
    updates: int


# By the steps of a picture, which nobody else wants at the moment. Whoever makes pictures cheaper lowers these. None of
# them may rise.
MOST = {
    "start": Cost(statements=9, writes=2, updates=0),  # claimed, and the response to its create call
    "poll": Cost(statements=7, writes=2, updates=0),  # claimed, and its outcome
    "copy": Cost(statements=9, writes=3, updates=1),  # claimed, its path, and its end with the charge
}


@dataclass(frozen=True)
class Counting:
    """A worker whose statements are counted, and what Postgres says about itself."""

    worker: ManualWorker
    bench: Workbench
    traffic: Traffic

    async def cost_of(self, work: Callable[[], Awaitable[object]]) -> Cost:
        """What the work costs."""
        writes, updates = await self._read()
        statements, _ = self.traffic.mark()
        await work()
        asked = len(self.traffic.asked) - statements
        after = await self._read()
        return Cost(asked, after[0] - writes, after[1] - updates)

    async def _read(self) -> tuple[int, int]:
        async with self.bench.resources.database.transaction() as tx:
            row = await tx.fetchrow(_READ)
        assert row is not None
        return row["writes"], row["updates"]


@pytest.fixture(scope="module", autouse=True)
async def _counted_updates(site: dict[str, str]) -> None:
    connection = await asyncpg.connect(site["DATABASE_URL"])
    try:
        await connection.execute(_COUNT_UPDATES)
    finally:
        await connection.close()


@pytest.fixture
async def counting(site: dict[str, str], workbench: Workbench) -> AsyncIterator[Counting]:
    own = replace(workbench, organization=await factories.make_organization(workbench.resources.database))
    async with (
        counted(site["DATABASE_URL"], PostgresReader) as traffic,
        open_manual_worker(settings_of({**site, "DATABASE_URL": traffic.url})) as worker,
    ):
        yield Counting(worker, own, traffic)


async def test_a_single_picture_costs_no_more_than_this(counting: Counting) -> None:
    for _ in range(_WARM_UP):
        await draw(counting)

    trials = [await draw(counting) for _ in range(_TRIALS)]

    for step, most in MOST.items():
        found = Cost(*(int(median(getattr(trial[step], name) for trial in trials)) for name in most.__dict__))
        assert found == most, step


async def test_what_comes_at_the_same_moment_is_written_at_once(counting: Counting) -> None:
    steps, copier = counting.worker.steps, counting.worker.steps.copy.copier
    starts = await claim_starts(counting.bench, counting.worker, _TOGETHER)
    copies = await claim_copies(counting.bench, counting.worker, 2 * _TOGETHER)
    completions = [await whole(counting.worker, attempt, "0.01") for attempt in copies[_TOGETHER:]]
    seconds = Decimal(1)

    accepting = await counting.cost_of(
        lambda: asyncio.gather(*(steps.acceptance.accept(attempt, uuid.uuid4().hex) for attempt in starts))
    )
    reserving = await counting.cost_of(
        lambda: asyncio.gather(*(copier.reservations.reserve(attempt, 0, TEXT) for attempt in copies[:_TOGETHER]))
    )
    await steps.ending.complete(completions[0].attempt, completions[0].files, predict_time=seconds)  # reads the price
    completing = await counting.cost_of(
        lambda: asyncio.gather(
            *(steps.ending.complete(one.attempt, one.files, predict_time=seconds) for one in completions[1:])
        )
    )

    assert [accepting.writes, reserving.writes, completing.writes] == [1, 1, 1]
    assert completing.updates == 1


async def draw(counting: Counting) -> dict[str, Cost]:
    """What each step of a picture costs."""
    steps, bench = counting.worker.steps, counting.bench
    asked = await bench.ask(_MODEL)

    async def start() -> None:
        for attempt in (await steps.start.claim(_TOGETHER)).rows:
            await steps.start.run(attempt)

    async def copy() -> None:
        for attempt in (await steps.copy.claim(_TOGETHER)).rows:
            await steps.copy.run(attempt)

    costs = {"start": await counting.cost_of(start)}
    await _until_succeeded(bench, asked)
    await bench.execute(_DUE, asked)
    costs["poll"] = await counting.cost_of(steps.poll.run)
    costs["copy"] = await counting.cost_of(copy)
    assert (await bench.row(asked)).status == "completed"
    return costs


async def _until_succeeded(bench: Workbench, content_id: str) -> None:
    async with asyncio.timeout(60):
        while (await bench.predictions(content_id))[0]["status"] != "succeeded":  # noqa: ASYNC110 - the vendor does it
            await asyncio.sleep(0.05)
