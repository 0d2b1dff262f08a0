"""What the lists take of Postgres with many rows in one organization, compared with few: their totals included.

`python -m bench.lists` compares ten thousand with 200 thousand rows of each list; `--rows 10000 10000000` is the long
form. The figures go to standard output, and with the plans into a folder.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from app.core.database import Database, Transaction
from app.list_counts.folding import fold_list_counts
from app.list_counts.repository import correct
from bench.figures import Figure, report
from bench.list_reads import Reader, reads
from bench.lists_rows import SERVER_SETTINGS, Owner, fill, leave_changes
from bench.plans import explain, listening
from bench.turn_cost.document import write_tables
from bench.turn_cost.tables import Table
from chaos import organizations
from chaos.plant import Plant, running_plant
from chaos.strikes import POSTGRES

# With many rows a list may take so much longer than with few. What is so short that a level more of an index shows,
# or the machine's other work, may take half a millisecond longer.
MOST_TIMES = 1.5
MOST_MILLISECONDS_MORE = 0.5
# With few rows there is no such page, or so few rows are of that name or day that the page is not full.
MOST_OF_A_FAR_PAGE = 50.0
_ONLY_OF_MANY = ("page 1,000",)
_FAR = (*_ONLY_OF_MANY, "sessions, a name", "ledger, a day", "on a day")
_DOCUMENTS = {"lists": "docs/lists.md", "plans": "docs/list-plans.md"}
_ROOT = Path(__file__).parents[1]
_RUNS = 5
_STATEMENT_SECONDS = 3600.0
_PRICE = "SELECT id FROM prices WHERE model_name = 'simulator/image' LIMIT 1"
_OTHER = "INSERT INTO users (id, email) VALUES ('user-list-other', 'other@example.com')"
_JOIN = "INSERT INTO memberships (organization_id, user_id, role) VALUES ($1, 'user-list-other', 'member')"


@dataclass(frozen=True)
class Measured:
    """One list: the milliseconds of Postgres (the median, and the least) and of the whole call, and what was read."""

    milliseconds: float
    least: float
    whole: float
    buffers: int
    plans: list[str]


async def _measure(database: Database, read: Callable[[Transaction], Awaitable[object]]) -> Measured:
    """The median of some runs, after one that does not count."""
    found = []
    for _ in range(_RUNS + 1):
        async with database.transaction() as tx:
            await explain(tx)
            async with listening(tx) as plans:
                began = time.perf_counter()
                await read(tx)
                whole = (time.perf_counter() - began) * 1000
        found.append(Measured(plans.milliseconds, plans.milliseconds, whole, plans.buffers, plans.outline()))
    counted = sorted(found[1:], key=lambda one: one.milliseconds)
    return replace(counted[_RUNS // 2], least=counted[0].milliseconds)


async def _measure_all(plant: Plant, rows: int) -> Mapping[str, Measured]:
    database = Database.open(plant.settings, statement_seconds=_STATEMENT_SECONDS)
    try:
        reader = await _prepare(database, plant.environment["DATABASE_URL"], rows)
        return {name: await _measure(database, read) for name, read in reads(reader).items()}
    finally:
        await database.close()


async def _prepare(database: Database, url: str, rows: int) -> Reader:
    await organizations.set_prices(database, "simulator/image")
    await organizations.set_plan(database, concurrent_generations=1)
    made = await organizations.make_organization(database, "bench")
    async with database.transaction() as tx:
        await tx.execute(_OTHER)
        await tx.execute(_JOIN, made.id)
        price = await tx.fetchval(_PRICE)
    began = time.perf_counter()
    owner = Owner(made.id, made.user_id, "user-list-other", price)
    await fill(url, owner, rows)
    filled = time.perf_counter()
    async with database.transaction() as tx:
        await correct(tx)
    counted = time.perf_counter()
    await fold_list_counts(database)
    async with database.transaction() as tx:
        await leave_changes(tx, owner)
    print(
        f"{rows:,} rows of each list: made in {filled - began:.0f} s, counted in {counted - filled:.1f} s", flush=True
    )
    async with database.transaction() as tx:
        newest = await tx.fetchval("SELECT max(id) FROM ledger_entries")
    day = (datetime.now(UTC) - timedelta(days=100)).date()
    return Reader(made.id, made.user_id, "user-list-other", rows, newest, day)


def _run(rows: int) -> Mapping[str, Measured]:
    """Fill servers of their own with so many rows, and measure each list."""
    with tempfile.TemporaryDirectory() as folder, running_plant(Path(folder), settings={}) as plant:
        asyncio.run(_set(plant.environment["DATABASE_URL"]))
        postgres = plant.servers[POSTGRES]
        postgres.stop()
        postgres.start()
        return asyncio.run(_measure_all(plant, rows))


async def _set(url: str) -> None:
    connection = await asyncpg.connect(url)
    for name, value in SERVER_SETTINGS.items():
        await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    await connection.close()


async def _compared(few: Mapping[str, Measured], many: Mapping[str, Measured]) -> AsyncIterator[Figure]:
    for name, measured in many.items():
        most = max(few[name].milliseconds * MOST_TIMES, few[name].milliseconds + MOST_MILLISECONDS_MORE)
        if any(far in name for far in _FAR):
            most = MOST_OF_A_FAR_PAGE
        yield Figure(f"{name} ({few[name].milliseconds:.2f} ms with few)", measured.milliseconds, "ms", at_most=most)


def _tables(measured: Mapping[int, Mapping[str, Measured]]) -> Iterator[Table]:
    """The times of each list, and along which index what was read."""
    few, many = measured
    yield Table(
        "lists",
        ("list, with its total", f"ms, {few:,} rows", f"ms, {many:,} rows", "least", "blocks read"),
        [_row(name, measured[few][name], one) for name, one in measured[many].items()],
    )
    yield Table(
        "plans",
        ("list", f"{few:,} rows", f"{many:,} rows"),
        [[name, *("<br>".join(lists[name].plans) for lists in measured.values())] for name in measured[many]],
    )


def _row(name: str, few: Measured, many: Measured) -> list[str]:
    before = "\N{EN DASH}" if any(far in name for far in _ONLY_OF_MANY) else f"{few.milliseconds:.2f}"
    return [name, before, f"{many.milliseconds:.2f}", f"{many.least:.2f}", f"{many.buffers:,}"]


def main() -> int:
    """Run the bench.

    Returns:
        1 if a requirement is missed.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.lists", description=__doc__)
    parser.add_argument("--rows", type=int, nargs=2, default=[10_000, 200_000], metavar=("FEW", "MANY"))
    parser.add_argument("--into", type=Path, default=Path(".bench"), help="the folder for all figures (.bench)")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {' and '.join(_DOCUMENTS.values())}")
    wanted = parser.parse_args()
    folder = wanted.into.resolve()
    measured = {rows: _run(rows) for rows in wanted.rows}
    folder.mkdir(parents=True, exist_ok=True)
    whole = {rows: {name: asdict(one) for name, one in lists.items()} for rows, lists in measured.items()}
    (folder / "lists.json").write_text(json.dumps(whole, indent=1))
    for table in _tables(measured):
        (folder / f"{table.name}.md").write_text(f"{table.as_markdown()}\n")
        if wanted.write:
            write_tables(_ROOT / _DOCUMENTS[table.name], [table])
    few, many = measured.values()
    beside = statistics.median(one.whole - one.milliseconds for one in many.values())
    print(f"Beside Postgres's time, a call takes {beside:.1f} ms (median)")
    return asyncio.run(report(_compared(few, many)))


if __name__ == "__main__":
    sys.exit(main())
