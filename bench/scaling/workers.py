"""Generations through several workers: how many they finish a second, and what one costs."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.generations import UNLIMITED, ask, check_none_failed, open_organizations, wait_until
from bench.scaling.used import Used, Watch, of_processes, of_stores
from chaos.plant import Plant, running_plant

# They end only when the simulator's clock is moved forward by that much.
_RUN_SECONDS = 1500
_MODEL = f"simulator/image--slow-{_RUN_SECONDS}"
_ORGANIZATIONS = 10


@dataclass(frozen=True)
class Generations:
    """Generations through so many workers.

    Attributes:
        workers: worker processes.
        count: generations.
        start_rate, finish_rate: started, and finished with their outputs copied, a second.
        used: what all of it cost, from the first to the last.
    """

    workers: int
    count: int
    start_rate: float
    finish_rate: float
    used: Used


def measure_workers(workers: int, *, count: int) -> Generations:
    """So many generations are asked for, run at once, and end at the same moment.

    Raises:
        RuntimeError: one failed.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        running_plant(Path(folder), simulator=["--prerender"], settings=UNLIMITED) as plant,
    ):
        return asyncio.run(_measure(plant, workers, count))


async def _measure(plant: Plant, workers: int, count: int) -> Generations:
    async with open_organizations(plant, _MODEL, count=_ORGANIZATIONS, concurrent_generations=count) as (
        resources,
        organizations,
    ):
        await ask(resources, organizations, _MODEL, count)
        names = [f"worker-{number}" for number in range(workers)]
        for name in names:
            plant.add_worker(name)
        await wait_until(resources, "prediction_id IS NOT NULL", 1)  # the first worker has come up
        parts = {
            "worker": of_processes(plant.pid(name) for name in names),
            **of_stores(plant),
            "vendor": of_processes([plant.pid("simulator")]),
        }
        watch = Watch(parts)
        await wait_until(resources, "prediction_id IS NOT NULL", count)
        start_rate = count / watch.used().seconds
        async with httpx.AsyncClient(base_url=plant.simulator_url) as simulator:
            (await simulator.post("/_sim/clock", json={"skip": _RUN_SECONDS})).raise_for_status()
        finishing = Watch(parts)
        await wait_until(resources, "completed_at IS NOT NULL", count)
        finish_rate = count / finishing.used().seconds
        await check_none_failed(resources)
        return Generations(workers, count, start_rate, finish_rate, watch.used())
