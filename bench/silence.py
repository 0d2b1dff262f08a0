"""How long streams are silent at most while their model says nothing yet."""

import asyncio
import sys
from collections.abc import AsyncIterator
from time import monotonic

import httpx

from app.resources import open_resources
from bench.figures import Figure
from bench.generations import run_bench
from chaos import organizations
from chaos.plant import Plant

MOST_SECONDS = 6

# Longer than two pauses between keep-alives.
_CHAT_MODEL = "sim-chat--first-token-slow-11"
_API = "api-1"


async def measure(plant: Plant, count: int) -> AsyncIterator[Figure]:
    """Open so many streams at once, and take the longest pause between two pieces of any of them."""
    plant.add_api(_API)
    async with open_resources(plant.settings) as resources:
        await organizations.set_prices(resources.database, chat_model=_CHAT_MODEL)
        await organizations.set_plan(resources.database, concurrent_generations=1)
        organization = await organizations.make_organization(resources.database, "org-1")
        async with resources.database.transaction() as tx:
            await tx.execute("UPDATE agents SET model = $1", _CHAT_MODEL)
    headers, limits = {"X-API-Key": organization.api_key}, httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(headers=headers, limits=limits, timeout=60) as http:
        url = f"{plant.api_urls[_API]}/api/external/v1/chat/completions"
        silences = await asyncio.gather(*(_longest_silence(http, url) for _ in range(count)))
    yield Figure("silence.longest", max(silences), "s", at_most=MOST_SECONDS)


async def _longest_silence(http: httpx.AsyncClient, url: str) -> float:
    """Seconds between two pieces of one stream, the request counting as the first piece."""
    body = {"messages": [{"role": "user", "content": "count to 3"}], "stream": True}
    longest, last = 0.0, monotonic()
    async with http.stream("POST", url, json=body) as response:
        response.raise_for_status()
        async for _piece in response.aiter_raw():
            longest, last = max(longest, monotonic() - last), monotonic()
    return longest


if __name__ == "__main__":
    sys.exit(run_bench(measure, name="silence", about=__doc__, count=20, counted="streams at once"))
