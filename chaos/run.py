"""One run: start everything, send requests, kill programs, wait until everything has ended, and check."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx

from app.core.errors import ServiceUnavailableError
from app.resources import Resources, open_resources
from chaos import organizations
from chaos.asking import Asked, Asker
from chaos.checks import find_violations
from chaos.coverage import Coverage, measure
from chaos.organizations import Organization
from chaos.plan import APIS, MODELS, ORGANIZATIONS, WORKERS, Plan
from chaos.plant import Plant, running_plant
from chaos.striking import Blow, deal
from chaos.vendor import Vendor

_FAULT_RATE = 0.35
_WEBHOOK_SECRET = "whsec_Y2hhb3M="  # noqa: S105 - the simulator's, for this run
_CONCURRENT_GENERATIONS = 40
_LOOK_SECONDS = 0.5
# Leases and waits as short as they may be, so that what is struck does not outlast the run.
_SETTINGS = {
    "REPLICATE_WEBHOOK_SECRET": _WEBHOOK_SECRET,
    "REPLICATE_CREATES_PER_MINUTE": "6000",
    "REPLICATE_READS_PER_MINUTE": "60000",
    "POLL_INTERVAL_SECONDS": "0.3",
    "WORKER_LEASE_SECONDS": "8",
    "GENERATION_WAIT_SECONDS": "1",
    "CHAT_TURN_TIMEOUT_SECONDS": "10",
    # All clients come from one address.
    "FAILED_ATTEMPTS_PER_MINUTE": "100000",
}
_UNENDED = """
SELECT (SELECT count(*) FROM generations
        WHERE status IN ('pending', 'processing') OR status = 'failed' AND retry_count = 0)
     + (SELECT count(*) FROM outputs o JOIN generations c ON c.id = o.generation_id
        WHERE o.attempt <> c.retry_count OR c.status = 'failed' OR c.status = 'completed' AND o.size_bytes IS NULL)
"""
_LET_HOLDS_EXPIRE = """
WITH expired AS (UPDATE credit_holds SET expires_at = now() WHERE state = 'open' AND expires_at > now() RETURNING 1)
SELECT count(*) FROM expired
"""
_HELD = "SELECT count(*) FROM credit_holds WHERE state = 'open'"
_CONTENTS = "SELECT status, retry_count, error_message, prediction_id FROM generations"


@dataclass(frozen=True)
class Result:
    """The result of a run.

    `retries` counts attempts after the first, `abandoned_holds` the holds of turns that crashed.
    """

    seconds: float
    asked: Asked
    blows: list[Blow]
    abandoned_holds: int
    retries: int
    endings: Counter[str]
    coverage: Coverage
    violations: list[str]


def run(folder: Path, seed: int, plan: Plan, *, seconds: float) -> Result:
    """Carry out the plan, and wait at most so many seconds until everything has ended.

    Args:
        folder: Where data and logs go.
        seed: From which the simulator draws its faults.
        plan: What is requested, and which programs are killed when.
        seconds: What has not ended after them counts as lost.
    """
    simulator = ["--seed", str(seed), "--fault-rate", str(_FAULT_RATE), "--webhook-secret", _WEBHOOK_SECRET]
    with running_plant(folder, simulator=simulator, settings=_SETTINGS) as plant:
        # Our own warnings about what we kill do not belong among the results.
        logging.basicConfig(filename=plant.folder / "chaos.log", level=logging.WARNING)
        for name in APIS:
            plant.add_api(name)
        for name in WORKERS:
            plant.add_worker(name)
        asking = asyncio.run(_prepare(plant))
        began = monotonic()
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(asyncio.run, _ask(plant, plan, asking, began, seconds))
            blows = deal(plant, plan.strikes, began=began, is_over=asked.done)
            return asyncio.run(_judge(plant, plan, *asked.result(), blows, monotonic() - began))


async def _prepare(plant: Plant) -> list[Organization]:
    async with open_resources(plant.settings) as resources:
        await organizations.set_prices(resources.database, *MODELS)
        await organizations.set_plan(resources.database, concurrent_generations=_CONCURRENT_GENERATIONS)
        return [
            await organizations.make_organization(resources.database, f"organization-{number}")
            for number in range(ORGANIZATIONS)
        ]


async def _ask(
    plant: Plant, plan: Plan, asking: Sequence[Organization], began: float, seconds: float
) -> tuple[Asked, int]:
    """Request everything, and wait until all of it has ended or time is up; also returns how many holds expired."""
    last_strike = max((strike.at + strike.down for strike in plan.strikes), default=0)
    async with open_resources(plant.settings) as resources, httpx.AsyncClient() as http:
        asker = Asker(plant, resources, asking, http)
        retrying = asyncio.create_task(asker.retry_failed())
        await asker.ask_all(plan, began)
        await asyncio.sleep(began + last_strike - monotonic())
        await _wait_until_none(resources, _UNENDED, began + seconds)
        # No turn runs any more: every chat was answered or died with its process. Their holds expire now, not in a day.
        abandoned = await _count(resources, _LET_HOLDS_EXPIRE) or 0
        await _wait_until_none(resources, _HELD, began + seconds)
        retrying.cancel()
    return asker.asked, abandoned


async def _wait_until_none(resources: Resources, query: str, deadline: float) -> None:
    while await _count(resources, query) != 0 and monotonic() < deadline:  # noqa: ASYNC110 - other processes do it
        await asyncio.sleep(_LOOK_SECONDS)


async def _count(resources: Resources, query: str) -> int | None:
    """What a query counts; None while Postgres is away."""
    try:
        async with resources.database.transaction() as tx:
            count: int = await tx.fetchval(query)
    except ServiceUnavailableError:
        return None
    return count


async def _judge(plant: Plant, plan: Plan, asked: Asked, abandoned: int, blows: list[Blow], seconds: float) -> Result:
    async with open_resources(plant.settings) as resources, httpx.AsyncClient() as http:
        # Before the checks, which fetch files themselves.
        vendor = await Vendor.read(http, plant.simulator_url)
        async with resources.database.transaction() as tx:
            contents = await tx.fetch(_CONTENTS)
        violations = [f"{name}: not alive" for name in (*APIS, *WORKERS) if not plant.is_alive(name)]
        violations += await find_violations(plant, resources.database, plan, asked)
    return Result(
        seconds=seconds,
        asked=asked,
        blows=blows,
        abandoned_holds=abandoned,
        retries=sum(row["retry_count"] for row in contents),
        endings=Counter(": ".join(filter(None, (row["status"], row["error_message"]))) for row in contents),
        coverage=measure(vendor, blows, frozenset(row["prediction_id"] for row in contents)),
        violations=violations,
    )
