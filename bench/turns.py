"""What a chat turn costs this machine: processor time of the API and of Postgres, statements, and bytes of WAL."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields

import httpx

from app.resources import open_resources
from bench.figures import Figure, cpu_seconds
from bench.generations import run_bench
from bench.postgres import count_statements, counters, pid_of_postgres
from bench.processor import cpu_seconds_of_tree
from chaos import organizations
from chaos.plant import Plant

_API = "api-1"
_AT_ONCE = 8
_WARM_UP = 50
_MODEL = "sim-chat"
_BODY = {"messages": [{"role": "user", "content": "count to 3"}]}


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
                before = await _usage(plant)
                await _ask(http, url, body, count)
                after = await _usage(plant)
                for field in fields(_Usage):
                    used = getattr(after, field.name) - getattr(before, field.name)
                    yield Figure(f"turns.{kind}_{field.name}", used / count, _UNITS[field.name])


async def _ask(http: httpx.AsyncClient, url: str, body: dict[str, object], count: int) -> None:
    free = asyncio.Semaphore(_AT_ONCE)

    async def ask_once() -> None:
        async with free:
            (await http.post(url, json=body)).raise_for_status()

    await asyncio.gather(*(ask_once() for _ in range(count)))


async def _usage(plant: Plant) -> _Usage:
    counted = await counters(plant)
    return _Usage(
        api_cpu=1000 * cpu_seconds(plant.pid(_API)),
        postgres_cpu=1000 * cpu_seconds_of_tree(pid_of_postgres(plant)),
        statements=counted.statements,
        wal=counted.wal,
    )


if __name__ == "__main__":
    sys.exit(run_bench(measure, name="turns", about=__doc__, count=400, counted="turns of each kind"))
