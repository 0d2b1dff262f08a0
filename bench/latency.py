"""How long an idle worker takes to start what is requested."""

import sys
import uuid
from collections.abc import AsyncIterator
from statistics import quantiles

from bench.figures import Figure
from bench.generations import WORKER, ask, open_organizations, run_bench, start_delays, wait_until
from chaos.plant import Plant

MOST_MILLISECONDS_P50 = 50

# None of them ends meanwhile: the worker only waits for the next.
_MODEL = "simulator/text--slow-1500"
_LOOK_SECONDS = 0.02


async def measure(plant: Plant, count: int) -> AsyncIterator[Figure]:
    """Request one after the other, each when the one before it runs."""
    async with open_organizations(plant, _MODEL, count=1, concurrent_generations=count + 1) as (resources, asking):
        plant.add_worker(WORKER)
        ids: list[uuid.UUID] = []
        for number in range(count + 1):
            ids += await ask(resources, asking, _MODEL, 1)
            await wait_until(resources, "prediction_id IS NOT NULL", number + 1, look_seconds=_LOOK_SECONDS)
        # The first one waited for the worker to come up.
        percentiles = quantiles(await start_delays(resources, ids[1:]), n=100)
    yield Figure("latency.start_p50", percentiles[49], "ms", at_most=MOST_MILLISECONDS_P50)
    yield Figure("latency.start_p99", percentiles[98], "ms")


if __name__ == "__main__":
    sys.exit(run_bench(measure, name="latency", about=__doc__, count=200, counted="samples"))
