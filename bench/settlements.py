"""One organization's account while generations complete at a fixed rate: how many a second, and how long each waits.

Each completion is what a worker does when it has copied the outputs: state, files, charge, hold and ledger. The workers
are in one process, each with its own connections to Postgres, and complete as many at a time as a worker has lanes. One
that meets a limit of time, such as that of a wait for a lock, is refused; a worker would do it again a minute later.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from time import monotonic

import orjson

from app.content.announcing import ContentAnnouncer
from app.content.urls import FileUrls
from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from app.generations.attempts import CLAIMED_COLUMNS, ClaimedAttempt, StoredFile
from app.generations.media_types import TEXT
from app.resources import Resources
from bench.generations import UNLIMITED, ask, open_organizations
from chaos.organizations import Organization
from chaos.plant import Plant, running_plant
from worker.steps.end import Ending

_MODEL = "simulator/text"
_CONCURRENT = 1_000_000
_HASH = "0" * 64
_MS = 1000

# As a worker has left them that is about to complete them.
_COPIED = """
UPDATE generations
SET status = 'processing', started_at = now(), prediction_id = id::text, outcome = '{"output": "words"}', claim = 1,
    is_leased = true, due_at = now() + interval '1 hour'
WHERE status = 'pending'
"""
_RESERVED = """
INSERT INTO outputs (generation_id, attempt, position, lapses, storage_path, content_type, media_type)
SELECT id, 0, 0, 0, 'generation/other/' || id || '.txt', 'other', 'text/plain'
FROM generations WHERE status = 'processing'
ON CONFLICT DO NOTHING
"""
_CLAIMED = f"SELECT {CLAIMED_COLUMNS} FROM generations c WHERE status = 'processing'"  # noqa: S608 - our own
_VERSION = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'credit_accounts'"
# A connection that does nothing reports what it has done after ten seconds.
_REPORTED_SECONDS = 11.0


@dataclass(frozen=True)
class Settled:
    """What became of a load.

    Attributes:
        asked: completions a second that were asked for.
        rate: completions a second that there were.
        refused: those that met a limit of time.
        p50, p99: milliseconds from when one was due until it was committed.
        updates: of the account's row, for one completion.
    """

    asked: int
    rate: float
    refused: int
    p50: float
    p99: float
    updates: float


async def measure(plant: Plant, rates: Sequence[int], seconds: float, workers: int) -> list[Settled]:
    """One load after the other."""
    async with open_organizations(plant, _MODEL, count=1, concurrent_generations=_CONCURRENT) as (resources, asking):
        databases = [Database.open(plant.settings) for _ in range(workers)]
        try:
            announce = ContentAnnouncer(FileUrls(resources.store, plant.settings.public_url))
            lanes = plant.settings.worker_concurrency
            endings = [(Ending(each, resources.queue, announce), asyncio.Semaphore(lanes)) for each in databases]
            return [await _measure(resources, asking, endings, rate, round(rate * seconds)) for rate in rates]
        finally:
            for database in databases:
                await database.close()


async def _measure(
    resources: Resources,
    asking: Sequence[Organization],
    endings: Sequence[tuple[Ending, asyncio.Semaphore]],
    rate: int,
    count: int,
) -> Settled:
    attempts = await _prepare(resources, asking, count)
    before = await _updates(resources)
    began = monotonic()
    waits = await asyncio.gather(
        *(
            _complete(*endings[number % len(endings)], attempt, began + number / rate)
            for number, attempt in enumerate(attempts)
        )
    )
    took = monotonic() - began
    updates = (await _updates(resources) - before) / count
    done = [wait for wait in waits if wait is not None]
    percentiles = quantiles(done, n=100)
    return Settled(rate, len(done) / took, count - len(done), percentiles[49], percentiles[98], updates)


async def _complete(ending: Ending, lanes: asyncio.Semaphore, attempt: ClaimedAttempt, due: float) -> float | None:
    """Complete the attempt when it is due. Returns after how many milliseconds it was; None if it was refused."""
    await asyncio.sleep(max(0.0, due - monotonic()))
    file = StoredFile(f"generation/other/{attempt.generation_id}.txt", TEXT.content_type, 1, _HASH)
    async with lanes:
        try:
            is_completed = await ending.complete(attempt, [file], predict_time=None)
        except ServiceUnavailableError:
            return None
    if not is_completed:
        raise RuntimeError(f"{attempt.generation_id} was not completed")
    return _MS * (monotonic() - due)


async def _prepare(resources: Resources, asking: Sequence[Organization], count: int) -> list[ClaimedAttempt]:
    """So many attempts whose outputs have been copied."""
    await ask(resources, asking, _MODEL, count)
    async with resources.database.transaction() as tx:
        await tx.execute(_COPIED)
        await tx.execute(_RESERVED)
        return [ClaimedAttempt.from_row(row) for row in await tx.fetch(_CLAIMED)][:count]


async def _updates(resources: Resources) -> float:
    await asyncio.sleep(_REPORTED_SECONDS)
    async with resources.database.transaction() as tx:
        return float(await tx.fetchval(_VERSION))


def main() -> int:
    """Measure, and print a table.

    Returns:
        0.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.settlements", description=__doc__)
    parser.add_argument("--rate", type=int, action="append", help="completions a second (100, 200, 400, 800)")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each rate lasts (8)")
    parser.add_argument("--workers", type=int, default=2, help="workers that complete them (2)")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    arguments = parser.parse_args()
    rates = arguments.rate or [100, 200, 400, 800]
    with tempfile.TemporaryDirectory() as folder, running_plant(Path(folder), settings=UNLIMITED) as plant:
        found = asyncio.run(measure(plant, rates, arguments.seconds, arguments.workers))
    print("| asked for, /s | done, /s | refused | p50, ms | p99, ms | updates of the account for each |")
    print("| --- | --- | --- | --- | --- | --- |")
    for each in found:
        times = f"{each.p50:.0f} | {each.p99:.0f}"
        print(f"| {each.asked} | {each.rate:.0f} | {each.refused} | {times} | {each.updates:.2f} |")
    if arguments.json:
        arguments.json.write_bytes(orjson.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
