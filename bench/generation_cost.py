"""What a picture costs: commits, statements, updates of the account's row, processor time of worker and Postgres.

What worker and API do whether there is work or not is measured first, and taken away from the rest.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

import asyncpg
import httpx
import orjson

from app.resources import Resources
from bench.figures import cpu_seconds
from bench.generations import UNLIMITED, WORKER, ask, check_none_failed, open_organizations, wait_until
from bench.postgres import count_statements, counters, pid_of_postgres
from bench.processor import cpu_seconds_of_tree
from chaos.organizations import Organization
from chaos.plant import Plant, running_plant

API = "api-1"
_BASE = "/api/external"
_MODEL = "black-forest-labs/flux-schnell"
# A connection that does nothing reports what it has committed after ten seconds.
_REPORTED_SECONDS = 11.0
_IDLE_SECONDS = 20.0
_TURN_SECONDS = 60.0
_ORGANIZATIONS = 10
_IDLE = "each second without work"
# Nobody is to wait for the plan.
_CONCURRENT = 100_000

# A sequence counts at once, and what is rolled back, too.
_COUNT_ACCOUNT_UPDATES = """
CREATE SEQUENCE counted_account_updates;
CREATE FUNCTION count_account_update() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN PERFORM nextval('counted_account_updates'); RETURN NULL; END $$;
CREATE TRIGGER count_account_updates AFTER UPDATE ON credit_accounts
    FOR EACH ROW EXECUTE FUNCTION count_account_update();
"""
_READ = """
SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())::float8 AS commits,
       pg_snapshot_xmax(pg_current_snapshot())::text::float8 AS writing,
       (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM counted_account_updates)::float8 AS account_updates
"""


@dataclass(frozen=True)
class Cost:
    """What was used, in all or for one of something.

    Attributes:
        commits: transactions, with statements that are one by themselves.
        writing: those of them that have written something, so that Postgres has to flush its log for them.
        statements: without BEGIN, SET and COMMIT.
        account_updates: of rows of `credit_accounts`.
        worker_ms, api_ms, postgres_ms: processor time.
        wal: bytes of Postgres's log.
        seconds: how long it took.
    """

    commits: float
    writing: float
    statements: float
    account_updates: float
    worker_ms: float
    api_ms: float
    postgres_ms: float
    wal: float
    seconds: float

    def minus(self, other: "Cost", times: float = 1.0) -> "Cost":
        """What is left without so many times the other; seconds are left as they are."""
        own, others = asdict(self), asdict(other)
        left = {name: own[name] - times * others[name] for name in own}
        return Cost(**{**left, "seconds": self.seconds})

    def each_of(self, count: float) -> "Cost":
        """That of one of so many."""
        return Cost(**{name: value / count for name, value in asdict(self).items()})


class Meter:
    """Reads what was used so far."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._at = 0.0

    async def install(self) -> None:
        """Have Postgres count."""
        await self._execute(_COUNT_ACCOUNT_UPDATES)

    async def read(self) -> Cost:
        """All that was used so far, once every connection has reported it."""
        moment = monotonic()
        await asyncio.sleep(_REPORTED_SECONDS)
        connection = await asyncpg.connect(self._plant.environment["DATABASE_URL"])
        try:
            row = await connection.fetchrow(_READ)
        finally:
            await connection.close()
        assert row is not None  # noqa: S101 - the statement is a row of values
        counted = await counters(self._plant)
        return Cost(
            **dict(row),
            statements=counted.statements,
            worker_ms=1000 * cpu_seconds(self._plant.pid(WORKER)),
            api_ms=1000 * cpu_seconds(self._plant.pid(API)),
            postgres_ms=1000 * cpu_seconds_of_tree(pid_of_postgres(self._plant)),
            wal=counted.wal,
            seconds=moment,
        )

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[list[tuple[Cost, float]]]:
        """Appends what the block has used, and how long it was measured: longer than the block takes itself."""
        found: list[tuple[Cost, float]] = []
        before, began = await self.read(), monotonic()
        yield found
        took = monotonic() - began
        after = await self.read()
        used = after.minus(before)
        found.append((Cost(**{**asdict(used), "seconds": took}), monotonic() - began))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._plant.environment["DATABASE_URL"])
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


async def measure(plant: Plant, pictures: int, count: int) -> dict[str, Cost]:
    """By the name of each load: what one picture costs of it; of `_IDLE`, what a second costs."""
    await count_statements(plant)
    meter = Meter(plant)
    await meter.install()
    async with open_organizations(plant, _MODEL, count=_ORGANIZATIONS, concurrent_generations=_CONCURRENT) as (
        resources,
        organizations,
    ):
        plant.add_api(API)
        plant.add_worker(WORKER)
        await _draw(plant, organizations[:1], 2)  # everything is loaded and prepared
        async with meter.measured() as found:
            await asyncio.sleep(_IDLE_SECONDS)
        used, took = found[0]
        costs = {_IDLE: used.each_of(took)}
        loads = {
            "one after the other": _draw(plant, organizations, pictures),
            "at once": _generate(resources, organizations, count),
            "at once, one organization": _generate(resources, organizations[:1], count),
        }
        for name, load in loads.items():
            async with meter.measured() as found:
                done = await load
            used, took = found[0]
            costs[name] = used.minus(costs[_IDLE], took).each_of(done)
            print(f"{name}: {costs[name].commits:.1f} commits", file=sys.stderr, flush=True)
        await check_none_failed(resources)
    return costs


async def _draw(plant: Plant, organizations: Sequence[Organization], count: int) -> int:
    """Have pictures drawn in turns of the API, one after the other."""
    async with httpx.AsyncClient(base_url=plant.api_urls[API], timeout=_TURN_SECONDS) as http:
        for number in range(count):
            key = organizations[number % len(organizations)].api_key
            body = {
                "model": "orchestrator",
                "messages": [{"role": "user", "content": f"Draw a picture of lighthouse {number}"}],
            }
            answered = await http.post(f"{_BASE}/v1/chat/completions", json=body, headers={"X-API-Key": key})
            answered.raise_for_status()
    return count


async def _generate(resources: Resources, organizations: Sequence[Organization], count: int) -> int:
    """Have pictures generated at once. What their requests cost is among it, and the rest of their turns is not."""
    before = await _completed(resources)
    await ask(resources, organizations, _MODEL, count)
    await wait_until(resources, "completed_at IS NOT NULL", before + count)
    return count


async def _completed(resources: Resources) -> int:
    async with resources.database.transaction() as tx:
        count: int = await tx.fetchval("SELECT count(*) FROM generations WHERE completed_at IS NOT NULL")
    return count


def table_of(costs: dict[str, Cost]) -> str:
    """The costs as a table in Markdown."""
    columns = [
        ("commits", "commits", 1),
        ("of them writing", "writing", 1),
        ("statements", "statements", 1),
        ("updates of the account", "account_updates", 2),
        ("worker, ms", "worker_ms", 1),
        ("API, ms", "api_ms", 1),
        ("Postgres, ms", "postgres_ms", 1),
        ("log, KB", "wal", 1),
        ("s", "seconds", 3),
    ]
    lines = [["load", *(title for title, _, _ in columns)], ["---"] * (len(columns) + 1)]
    for name, cost in costs.items():
        values = {**asdict(cost), "wal": cost.wal / 1000}
        lines.append([name, *(f"{values[field]:.{digits}f}" for _, field, digits in columns)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Measure, and print the table.

    Returns:
        0.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.generation_cost", description=__doc__)
    parser.add_argument("--pictures", type=int, default=20, help="pictures of turns, one after the other (20)")
    parser.add_argument("--count", type=int, default=500, help="generations at once (500)")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_plant(Path(folder), simulator=["--prerender"], settings=UNLIMITED) as plant,
    ):
        costs = asyncio.run(measure(plant, arguments.pictures, arguments.count))
    print(table_of(costs))
    if arguments.json:
        arguments.json.write_bytes(orjson.dumps({name: asdict(cost) for name, cost in costs.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
