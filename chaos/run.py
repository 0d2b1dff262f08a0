"""One run: start everything, send requests, strike, wait until everything has ended, and judge."""

import asyncio
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx

from chaos.asked import Asked
from chaos.asking import ask_everything
from chaos.coverage import Coverage, measure
from chaos.field import Field
from chaos.judging import Evidence, Judgement, judge, read_balances
from chaos.organizations import Organization
from chaos.plan import Plan
from chaos.plant import Plant, running_plant
from chaos.preparing import prepare, settings_of, simulator_options
from chaos.stores import open_store
from chaos.strikes import APIS, VALKEY, WORKERS
from chaos.striking import Struck, deal
from chaos.tables import Postgres
from chaos.valkeys import valkey_pair
from chaos.vendor import Vendor


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        seconds: How long it took until everything had ended.
        asked: What the clients have sent and received.
        struck: What was done to the product.
        abandoned_holds: The holds of turns that crashed.
        retries: Attempts after the first.
        endings: Of generations.
        coverage: What has happened.
        judgement: How chats were charged, and the accounts.
        lost_calls: Model calls that were opened and have no event.
        violations: All of them.
    """

    seconds: float
    asked: Asked
    struck: list[Struck]
    abandoned_holds: int
    retries: int
    endings: Counter[str]
    coverage: Coverage
    judgement: Judgement
    lost_calls: int
    violations: list[str]


def run(folder: Path, plan: Plan, *, seconds: float) -> Result:
    """Carry out the plan, and wait at most so many seconds until everything has ended.

    Args:
        folder: Where data and logs go.
        plan: What is requested and what is done to the product. Its seed also draws the simulator's faults.
        seconds: What has not ended after them counts as lost, unless more and more of it ends.
    """
    with (
        running_plant(folder, simulator=simulator_options(plan), settings=settings_of(plan)) as plant,
        valkey_pair(plant.servers[VALKEY], plant.folder / "replica") as valkeys,
        open_store(plan.store, plant.folder, lambda: [plant.pid(name) for name in WORKERS]) as store,
    ):
        # Our own warnings about what we strike do not belong among the results.
        logging.basicConfig(filename=plant.folder / "chaos.log", level=logging.WARNING)
        plant.environment |= {"REDIS_URL": valkeys.url, **store.settings}
        for name in APIS:
            plant.add_api(name)
        for name in WORKERS:
            plant.add_worker(name)
        asking = asyncio.run(prepare(plant))
        field = Field(plant, valkeys, store)
        began = monotonic()
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(asyncio.run, ask_everything(plant, plan, asking, began, seconds))
            struck = deal(field, plan.strikes, began=began, is_over=asked.done)
            took = monotonic() - began
            told = [*_verify_ledger(plant), *(f"{name}: ended by itself" for name in field.ended)]
            evidence = asyncio.run(_gather(plant, plan, asking, asked.result()[0], struck, store.objects))
            return asyncio.run(_conclude(evidence, took, asked.result()[1], told))


def _verify_ledger(plant: Plant) -> list[str]:
    """What the operator's own command says of the ledger, if it finds faults."""
    status, output = plant.run("verify-ledger")
    return [f"verify-ledger: {line}" for line in output.splitlines() or ["failed"]] if status else []


async def _gather(
    plant: Plant, plan: Plan, asking: list[Organization], asked: Asked, struck: list[Struck], objects: Path
) -> Evidence:
    async with httpx.AsyncClient() as http:
        return Evidence(
            plan=plan,
            asked=asked,
            struck=struck,
            # Before the checks, which fetch files themselves.
            vendor=await Vendor.read(http, plant.simulator_url),
            tables=await Postgres(plant.settings.database_url).read(),
            balances=await read_balances(http, plant.api_urls[APIS[0]], asking),
            objects=objects,
        )


async def _conclude(evidence: Evidence, seconds: float, abandoned: int, told: list[str]) -> Result:
    async with httpx.AsyncClient() as http:
        judgement = await judge(evidence, http)
    contents = evidence.tables.contents
    return Result(
        seconds=seconds,
        asked=evidence.asked,
        struck=evidence.struck,
        abandoned_holds=abandoned,
        retries=sum(content.retry_count for content in contents),
        endings=Counter(": ".join(filter(None, (content.status, content.error_message))) for content in contents),
        coverage=measure(
            evidence.plan,
            evidence.vendor,
            evidence.struck,
            evidence.asked,
            judgement.verdict,
            [content.prediction_id for content in contents],
        ),
        judgement=judgement,
        lost_calls=evidence.tables.lost_calls,
        violations=told + judgement.violations,
    )
