"""Requests that go on while something else happens, and what they and Postgres had to say about it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import quantiles

import asyncpg
import httpx

CHAT = "/v1/chat/completions"
_PAUSE_SECONDS = 0.05
_LOOK_SECONDS = 0.01
_LONGEST_WAIT = """
SELECT extract(epoch FROM clock_timestamp() - l.waitstart)::float8 AS seconds, a.query
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND l.waitstart IS NOT NULL AND a.application_name = 'junis' ORDER BY 1 DESC LIMIT 1
"""


@dataclass
class Traffic:
    """What has been seen so far."""

    failures: list[str] = field(default_factory=list)
    # When each request began, and how many seconds it took.
    requests: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    # The longest wait of the server for a lock, in seconds, and the statement that waited.
    longest_wait: tuple[float, str] = (0.0, "")

    def report(self, since: float, until: float) -> str:
        """A line for each kind of request of a period: how many, and how long they took."""
        lines = [f"longest wait for a lock: {self.longest_wait[0] * 1000:.0f} ms: {self.longest_wait[1][:90]!r}"]
        for kind, requests in self.requests.items():
            took = [seconds for began, seconds in requests if since <= began <= until] or [0.0]
            cuts = quantiles(took, n=100, method="inclusive") if len(took) > 1 else took * 99
            lines.append(
                f"{kind}: {len(took)} requests, p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms,"
                f" longest {max(took) * 1000:.0f} ms"
            )
        return "\n".join(lines)


@asynccontextmanager
async def traffic(base_url: str, key: str, database_url: str) -> AsyncIterator[Traffic]:
    """Send requests of every kind one after the other during the block, and watch who waits for locks."""
    seen = Traffic()
    async with httpx.AsyncClient(base_url=base_url, headers={"X-API-Key": key}, timeout=60) as client:

        async def chat() -> httpx.Response:
            return await client.post(CHAT, json=_says("Hello"))

        async def once() -> httpx.Response:
            headers = {"Idempotency-Key": f"upgrade-{time.monotonic_ns()}"}
            return await client.post(CHAT, json=_says("Hello"), headers=headers)

        async def generate() -> httpx.Response:
            return await client.post(CHAT, json=_says("Please make simulator/image of a lighthouse"))

        async def contents() -> httpx.Response:
            return await client.get("/content")

        async def balance() -> httpx.Response:
            return await client.get("/credits")

        async def sessions() -> httpx.Response:
            return await client.get("/sessions")

        watcher = await asyncpg.connect(database_url)
        tasks = [asyncio.create_task(_repeat(seen, ask)) for ask in (chat, once, generate, contents, balance, sessions)]
        tasks.append(asyncio.create_task(_watch(seen, watcher)))
        try:
            yield seen
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await watcher.close()


def _says(words: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": words}]}


async def _repeat(seen: Traffic, ask: Callable[[], Awaitable[httpx.Response]]) -> None:
    took = seen.requests.setdefault(ask.__name__, [])
    while True:
        began = time.monotonic()
        try:
            response = await ask()
        except httpx.HTTPError as error:
            seen.failures.append(f"{ask.__name__}: {error!r}")
        else:
            took.append((began, time.monotonic() - began))
            if response.status_code != 200:
                seen.failures.append(f"{ask.__name__}: {response.status_code} {response.text[:200]}")
        await asyncio.sleep(_PAUSE_SECONDS)


async def _watch(seen: Traffic, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    while True:
        row = await connection.fetchrow(_LONGEST_WAIT)
        if row is not None and row["seconds"] > seen.longest_wait[0]:
            seen.longest_wait = (row["seconds"], row["query"])
        await asyncio.sleep(_LOOK_SECONDS)
