"""Many predictions in flight in one worker: its memory, and how fast it finishes them when they end at once."""

import sys
from collections.abc import AsyncIterator
from time import monotonic

import httpx

from app.resources import Resources
from bench.figures import Figure, cpu_seconds, peak_megabytes
from bench.generations import WORKER, ask, check_none_failed, open_organizations, run_bench, wait_until
from chaos.plant import Plant

MOST_MEGABYTES = 300
LEAST_PER_SECOND = 100

# They end only when the simulator's clock is moved forward by that much.
_RUN_SECONDS = 1500
_MODEL = f"simulator/image--slow-{_RUN_SECONDS}"
_ORGANIZATIONS = 10


async def measure(plant: Plant, count: int) -> AsyncIterator[Figure]:
    """Start so many predictions, let all of them end at the same moment, and copy their outputs."""
    async with open_organizations(plant, _MODEL, count=_ORGANIZATIONS, concurrent_generations=count) as (
        resources,
        organizations,
    ):
        await ask(resources, organizations, _MODEL, count)
        plant.add_worker(WORKER)
        await wait_until(resources, "prediction_id IS NOT NULL", 1)  # the worker has come up
        async for figure in _measure_step(resources, plant, "start", "prediction_id IS NOT NULL", count):
            yield figure
        yield Figure("inflight.memory_in_flight", peak_megabytes(plant.pid(WORKER)), "MB", at_most=MOST_MEGABYTES)
        async with httpx.AsyncClient(base_url=plant.simulator_url) as simulator:
            (await simulator.post("/_sim/clock", json={"skip": _RUN_SECONDS})).raise_for_status()
        async for figure in _measure_step(resources, plant, "finish", "completed_at IS NOT NULL", count):
            yield figure
        yield Figure("inflight.memory_peak", peak_megabytes(plant.pid(WORKER)), "MB", at_most=MOST_MEGABYTES)
        await check_none_failed(resources)


async def _measure_step(
    resources: Resources, plant: Plant, step: str, condition: str, count: int
) -> AsyncIterator[Figure]:
    """Wait until this is true of all generations, and measure what that took."""
    began, cpu_began = monotonic(), cpu_seconds(plant.pid(WORKER))
    await wait_until(resources, condition, count)
    per_second = count / (monotonic() - began)
    yield Figure(f"inflight.{step}", per_second, "generations/s", at_least=LEAST_PER_SECOND)
    cpu_each = 1000 * (cpu_seconds(plant.pid(WORKER)) - cpu_began) / count
    yield Figure(f"inflight.{step}_cpu", cpu_each, "ms of the worker's processor time for a generation")


if __name__ == "__main__":
    sys.exit(run_bench(measure, name="inflight", about=__doc__, count=10_000, counted="predictions in flight"))
