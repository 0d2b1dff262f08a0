"""What a chat turn costs this machine: processor time of the API and of Postgres, statements, and bytes of WAL."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from pathlib import Path

import httpx

from app.core.database import Database
from app.resources import open_resources
from bench.figures import Figure, cpu_seconds
from bench.generations import run_bench
from bench.statements import IS_UTILITY, count_statements
from chaos import organizations
from chaos.plant import Plant

_API = "api-1"
_AT_ONCE = 8
_WARM_UP = 50
_MODEL = "sim-chat"
_BODY = {"messages": [{"role": "user", "content": "count to 3"}]}

_READ = f"""
SELECT (SELECT sum(calls) FROM pg_stat_statements WHERE NOT {IS_UTILITY}) AS statements,
       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS wal_bytes, pg_backend_pid() AS pid
"""  # noqa: S608 - a constant of ours


@dataclass(frozen=True)
class _Usage:
    """What was used so far. Times are in milliseconds."""

    api_cpu: float
    postgres_cpu: float
    statements: float
    wal: float


_UNITS = {
    "api_cpu": "ms of the API's processor time for a turn",
    "postgres_cpu": "ms of Postgres's processor time for a turn",
    "statements": "statements for a turn",
    "wal": "bytes of WAL for a turn",
}


async def measure(plant: Plant, count: int) -> AsyncIterator[Figure]:
    """Run so many turns, a few at the same time, and divide what they used by their number."""
    await count_statements(plant)
    plant.add_api(_API)
    async with open_resources(plant.settings) as resources:
        await organizations.set_prices(resources.database, chat_model=_MODEL)
        await organizations.set_plan(resources.database, concurrent_generations=1)
        organization = await organizations.make_organization(resources.database, "org-1")
        async with resources.database.transaction() as tx:
            await tx.execute("UPDATE agents SET model = $1", _MODEL)
        url = f"{plant.api_urls[_API]}/api/external/v1/chat/completions"
        async with httpx.AsyncClient(headers={"X-API-Key": organization.api_key}, timeout=60) as http:
            for kind in ("whole", "streamed"):
                body = {**_BODY, "stream": kind == "streamed"}
                await _ask(http, url, body, _WARM_UP)
                before = await _usage(plant, resources.database)
                await _ask(http, url, body, count)
                after = await _usage(plant, resources.database)
                for field in fields(_Usage):
                    used = getattr(after, field.name) - getattr(before, field.name)
                    yield Figure(f"turns.{kind}_{field.name}", used / count, _UNITS[field.name])


async def _ask(http: httpx.AsyncClient, url: str, body: dict[str, object], count: int) -> None:
    free = asyncio.Semaphore(_AT_ONCE)

    async def ask_once() -> None:
        async with free:
            (await http.post(url, json=body)).raise_for_status()

    await asyncio.gather(*(ask_once() for _ in range(count)))


async def _usage(plant: Plant, database: Database) -> _Usage:
    async with database.transaction() as tx:
        row = await tx.fetchrow(_READ)
    assert row is not None  # noqa: S101 - the statement has no condition
    return _Usage(
        api_cpu=1000 * cpu_seconds(plant.pid(_API)),
        postgres_cpu=1000 * _cpu_of_children(_parent(row["pid"])),
        statements=float(row["statements"]),
        wal=row["wal_bytes"],
    )


def _cpu_of_children(pid: int | None) -> float:
    return sum(cpu_seconds(int(path.name)) for path in Path("/proc").glob("[0-9]*") if _parent(int(path.name)) == pid)


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:  # it has ended since it was listed
        return None


if __name__ == "__main__":
    sys.exit(run_bench(measure, name="turns", about=__doc__, count=400, counted="turns of each kind"))
