"""How large the tables become, how long pruning takes, and whether it holds up turns.

`python -m bench.growth` makes 200 thousand turns, each a session with two messages, a tenth of them kept as responses,
and half as many generations. It prints what each table and its indexes take for a million of them, ages half of the
turns, prunes these with `junis prune` while turns are admitted and ended, and proves the ledger. The figures go to
standard output.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from app.chat.responses.thoughts import ThoughtSeal
from app.core.database import Database
from app.core.secret_keys import SecretKeys
from app.credits.summing import sum_up_spend
from app.list_counts.folding import fold_list_counts
from app.verification.service import find_faults
from bench.figures import Figure, report
from bench.growth_rows import Payer, add_generations, admit, end, find_payer, new_turn
from chaos import organizations
from chaos.plant import Plant, running_plant

_TOGETHER = 200
_AT_ONCE = 4
# Of so many groups of turns one is kept as responses.
_KEPT_OF = 10
_CALM_SECONDS = 15.0
_STATEMENT_SECONDS = 3600.0
_MILLION = 1_000_000
# The processors are shared with what prunes; but no turn waits for a batch.
_MOST_TIMES, _MOST_MILLISECONDS_MORE = 2.0, 50.0
_OF_TURNS = ("sessions", "messages", "credit_holds", "metering_events", "ledger_entries")
_OF_RESPONSES = ("kept_responses",)
_OF_GENERATIONS = ("generations", "attempts", "create_calls", "outputs")
_SIZES = """
SELECT relname AS name, pg_table_size(oid) AS rows, pg_indexes_size(oid) AS indexes FROM pg_class
WHERE relname = ANY ($1::text[])
"""
_AGE = {
    "sessions": "last_update_time = last_update_time - interval '100 days'",
    "credit_holds": "created_at = created_at - interval '100 days', ended_at = ended_at - interval '100 days'",
    "metering_events": "recorded_at = recorded_at - interval '100 days'",
    "ledger_entries": "created_at = created_at - interval '100 days'",
}
_OLDER_HALF = """
CREATE TEMP TABLE older ON COMMIT DROP AS
SELECT session_id, reference FROM ledger_entries WHERE kind = 'charge' ORDER BY id LIMIT $1
"""
_IS_OLDER = {
    "sessions": "id IN (SELECT session_id FROM older)",
    "credit_holds": "reference IN (SELECT reference FROM older)",
    "metering_events": "hold_reference IN (SELECT reference FROM older)",
    "ledger_entries": "reference IN (SELECT reference FROM older) OR kind <> 'charge'",
}


async def _fill(database: Database, payer: Payer, count: int, seal: ThoughtSeal) -> None:
    """Make the turns, several groups at once, and half as many generations."""
    left = list(range(0, count, _TOGETHER))

    async def work() -> None:
        while left:
            is_kept = left.pop() // _TOGETHER % _KEPT_OF == 0
            together = [new_turn(payer) for _ in range(_TOGETHER)]
            await admit(database, payer, together)
            await end(database, payer, together, keeps_with=seal if is_kept else None)

    await asyncio.gather(work(), work())
    for _ in range(0, count // 2, _TOGETHER * 10):
        async with database.transaction() as tx:
            await add_generations(tx, payer, _TOGETHER * 10)


async def _sizes(database: Database, names: Sequence[str], count: int) -> AsyncIterator[Figure]:
    """Megabytes of each table and of its indexes for a million turns, or generations."""
    total = 0.0
    rows = {row["name"]: row for row in await database.fetch(_SIZES, list(names))}
    for name in names:
        for part in ("rows", "indexes"):
            megabytes = rows[name][part] / count * _MILLION / 1e6
            total += megabytes
            yield Figure(f"growth.{name}_{part}", megabytes, "MB for a million")
    yield Figure(f"growth.{names[0]}_and_all", total, "MB for a million")


async def _age(database: Database, count: int) -> None:
    """Move the first of the turns a hundred days back, and sum the ledger up as workers do."""
    async with database.transaction() as tx:
        await tx.execute(_OLDER_HALF.replace("$1", str(count)))
        for table, columns in _AGE.items():
            await tx.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            await tx.execute(f"UPDATE {table} SET {columns} WHERE {_IS_OLDER[table]}")
            await tx.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    while await sum_up_spend(database):
        pass
    while await fold_list_counts(database):
        pass


async def _turns(database: Database, payer: Payer, over: asyncio.Event) -> list[float]:
    """Admit and end turns, some at once, until the event is set. Returns how many milliseconds each admission took."""
    took: list[float] = []

    async def work() -> None:
        while not over.is_set():
            turn = new_turn(payer)
            began = time.perf_counter()
            await admit(database, payer, [turn])
            took.append((time.perf_counter() - began) * 1000)
            await end(database, payer, [turn])
            await asyncio.sleep(0.01)

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return took


async def _prune(plant: Plant) -> float:
    """Prune by the command. Returns how many seconds that took."""
    environment = {**plant.environment, "RETAIN_SESSIONS_DAYS": "40", "RETAIN_METERING_DAYS": "40"}
    began = time.perf_counter()
    command = (sys.executable, "-m", "app.cli", "prune")
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE)
    _, told = await process.communicate()
    print(told.decode(), end="", flush=True)
    if process.returncode:
        raise RuntimeError("It was not pruned")
    return time.perf_counter() - began


def _high(took: Sequence[float]) -> float:
    return statistics.quantiles(took, n=100)[98]


async def _measure(plant: Plant, count: int) -> AsyncIterator[Figure]:
    database = Database.open(plant.settings, statement_seconds=_STATEMENT_SECONDS)
    try:
        await organizations.set_prices(database, "simulator/image")
        await organizations.set_plan(database, concurrent_generations=1)
        made = await organizations.make_organization(database, "bench")
        async with database.transaction() as tx:
            payer = await find_payer(tx, made.id, made.user_id)
        began = time.perf_counter()
        await _fill(database, payer, count, ThoughtSeal(SecretKeys.of(plant.settings), made.id))
        yield Figure("growth.made", count / (time.perf_counter() - began), "turns a second")
        kept = len(range(0, count, _TOGETHER * _KEPT_OF)) * _TOGETHER
        for names, rows in ((_OF_TURNS, count), (_OF_RESPONSES, kept), (_OF_GENERATIONS, count // 2)):
            async for figure in _sizes(database, names, rows):
                yield figure
        await _age(database, count // 2)
        async for figure in _measure_pruning(plant, database, payer):
            yield figure
        async with database.transaction() as tx:
            # The generations were never paid for.
            faults = [fault for fault in await find_faults(tx) if not fault.startswith("content ")]
            yield Figure("growth.faults", len(faults), "faults of the ledger", at_most=0)
            left = await tx.fetchval("SELECT count(*) FROM credit_holds WHERE ended_at < now() - interval '90 days'")
            yield Figure("growth.left", left, "old holds that are left", at_most=0)
    finally:
        await database.close()


async def _measure_pruning(plant: Plant, database: Database, payer: Payer) -> AsyncIterator[Figure]:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(_CALM_SECONDS, over.set)
    calm = await _turns(database, payer, over)
    over = asyncio.Event()
    turns = asyncio.create_task(_turns(database, payer, over))
    seconds = await _prune(plant)
    over.set()
    busy = await turns
    yield Figure("growth.pruned", seconds, "seconds for half of the turns")
    for name, took in (("calm", calm), ("pruning", busy)):
        yield Figure(f"growth.admit_median_{name}", statistics.median(took), f"ms ({len(took)} turns)")
    yield Figure("growth.admit_p99_calm", _high(calm), "ms")
    yield Figure(
        "growth.admit_p99_pruning", _high(busy), "ms", at_most=_MOST_TIMES * _high(calm) + _MOST_MILLISECONDS_MORE
    )
    yield Figure("growth.admit_longest_calm", max(calm), "ms")
    yield Figure("growth.admit_longest_pruning", max(busy), "ms")


def main() -> int:
    """Run the bench.

    Returns:
        1 if a requirement is missed.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--turns", type=int, default=200_000, help="how many turns (200000)")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_plant(Path(folder), settings={}) as plant:
        return asyncio.run(report(_measure(plant, wanted.turns)))


if __name__ == "__main__":
    sys.exit(main())
