"""How long organizations wait for their generations to start while another one has a long backlog."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from statistics import quantiles

from app.resources import Resources
from bench.figures import Figure
from bench.generations import WORKER, ask, open_organizations, run_bench, start_delays, wait_until
from chaos.organizations import Organization
from chaos.plant import Plant

MOST_MILLISECONDS_P95 = 2000

_SLOW = "simulator/text--slow-2"
_QUICK = "simulator/text"
_AT_ONCE = 5
_OTHERS = 10
_SAMPLES = 200
_PAUSE_SECONDS = 0.1


async def measure(plant: Plant, count: int) -> AsyncIterator[Figure]:
    """One organization requests all its generations at once; meanwhile and afterwards others request single ones."""
    async with open_organizations(plant, _SLOW, _QUICK, count=1 + _OTHERS, concurrent_generations=_AT_ONCE) as (
        resources,
        (busy, *others),
    ):
        plant.add_worker(WORKER)
        await ask(resources, others, _QUICK, 1)
        await wait_until(resources, "status = 'completed'", 1)
        ids, _ = await asyncio.gather(_ask_now_and_then(resources, others), ask(resources, [busy], _SLOW, count))
        await wait_until(resources, f"model = '{_QUICK}' AND started_at IS NOT NULL", 1 + len(ids))
        percentiles = quantiles(await start_delays(resources, ids), n=20)
    yield Figure("fairness.others_start_p95", percentiles[18], "ms", at_most=MOST_MILLISECONDS_P95)


async def _ask_now_and_then(resources: Resources, others: Sequence[Organization]) -> list[uuid.UUID]:
    """Request the samples, so slowly that no organization waits for its own."""
    ids: list[uuid.UUID] = []
    for number in range(_SAMPLES):
        ids += await ask(resources, [others[number % len(others)]], _QUICK, 1)
        await asyncio.sleep(_PAUSE_SECONDS)
    return ids


if __name__ == "__main__":
    sys.exit(run_bench(measure, name="fairness", about=__doc__, count=1000, counted="slow generations"))
