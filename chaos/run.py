"""One run: start everything, send requests, strike, wait until everything has ended, and judge."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from time import monotonic

import httpx

from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from chaos import organizations
from chaos.asked import Asked
from chaos.clients import Clients
from chaos.coverage import Coverage, measure
from chaos.field import Field
from chaos.judging import Evidence, Judgement, judge, read_balances
from chaos.organizations import Organization
from chaos.plan import MODELS, ORGANIZATIONS, RICH, Plan
from chaos.plant import Plant, running_plant
from chaos.prices import CUT_MODEL, SILENT_MODEL, catalog_of
from chaos.stores import Store, open_store
from chaos.strikes import APIS, VALKEY, WORKERS
from chaos.striking import Struck, deal
from chaos.tables import Postgres, Tables
from chaos.valkeys import valkey_pair
from chaos.vendor import Vendor
from devstack.errors import StartupError

_FAULT_RATE = 0.35
_WEBHOOK_SECRET = "whsec_Y2hhb3M="  # noqa: S105 - the simulator's, for this run
_CONCURRENT_GENERATIONS = 40
_LOOK_SECONDS = 0.5
_POOR_CREDITS, _TOP_UP, _TOP_UP_SECONDS = Decimal("0.3"), Decimal("0.25"), 1.5
_TURN_SECONDS = 10
# So long after its limit, a turn that still wants to be settled has been.
_SETTLED_SECONDS = 15.0
_MOST_CONNECTIONS = 500
# Leases and waits as short as they may be, so that what is struck does not outlast the run.
_SETTINGS = {
    "REPLICATE_CREATES_PER_MINUTE": "6000",
    "REPLICATE_READS_PER_MINUTE": "60000",
    "POLL_INTERVAL_SECONDS": "0.3",
    "WORKER_LEASE_SECONDS": "5",
    "GENERATION_WAIT_SECONDS": "1",
    "CHAT_TURN_TIMEOUT_SECONDS": str(_TURN_SECONDS),
    "CHAT_STREAM_TIMEOUT_SECONDS": str(_TURN_SECONDS),
    # All clients come from one address.
    "FAILED_ATTEMPTS_PER_MINUTE": "100000",
}
_AGENTS = "".join(
    f'[[agents]]\nname = "{name}"\nmodel = "{model}"\n'
    for name, model in (("cut", CUT_MODEL), ("silent", SILENT_MODEL))
)
_UNENDED = """
SELECT (SELECT count(*) FROM generations
        WHERE status IN ('pending', 'processing') OR status = 'failed' AND retry_count = 0)
     + (SELECT count(*) FROM outputs o JOIN generations c ON c.id = o.generation_id
        WHERE o.attempt <> c.retry_count OR c.status = 'failed' OR c.status = 'completed' AND o.sha256 IS NULL)
"""
_LET_HOLDS_EXPIRE = """
WITH expired AS (
    UPDATE credit_holds SET expires_at = now() WHERE state = 'open' AND expires_at > now() RETURNING 1
)
SELECT count(*) FROM expired
"""
_HELD = "SELECT count(*) FROM credit_holds WHERE state = 'open'"


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
        seconds: What has not ended after them counts as lost.
    """
    simulator = ["--seed", str(plan.seed), "--fault-rate", str(_FAULT_RATE), "--webhook-secret", _WEBHOOK_SECRET]
    webhooks = {"REPLICATE_WEBHOOK_SECRET": _WEBHOOK_SECRET} if plan.has_webhooks else {}
    with (
        running_plant(folder, simulator=simulator, settings={**_SETTINGS, **webhooks}) as plant,
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
        asking = asyncio.run(_prepare(plant))
        field = Field(plant, valkeys, store)
        began = monotonic()
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(asyncio.run, _ask(plant, plan, asking, began, seconds))
            struck = deal(field, plan.strikes, began=began, is_over=asked.done)
            took = monotonic() - began
            verified = _verify_ledger(plant) + [f"{name}: ended by itself" for name in field.ended]
            return asyncio.run(_conclude(plant, plan, asking, store, *asked.result(), struck, took, verified))


async def _prepare(plant: Plant) -> list[Organization]:
    database = Database.open(plant.settings)
    try:
        await organizations.import_catalog(database, catalog_of(MODELS))
        await organizations.set_plan(database, concurrent_generations=_CONCURRENT_GENERATIONS)
        return [
            await organizations.make_organization(
                database,
                f"organization-{number}",
                credit=organizations.CREDITS if number < RICH else _POOR_CREDITS,
                further_agents=_AGENTS,
            )
            for number in range(ORGANIZATIONS)
        ]
    finally:
        await database.close()


async def _ask(
    plant: Plant, plan: Plan, asking: Sequence[Organization], began: float, seconds: float
) -> tuple[Asked, int]:
    """Request everything, and wait until all of it has ended or time is up; also returns how many holds expired."""
    last_strike = max((strike.at + strike.down for strike in plan.strikes), default=0)
    postgres, database = Postgres(plant.settings.database_url), Database.open(plant.settings)
    limits = httpx.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=0)
    try:
        async with httpx.AsyncClient(limits=limits) as http:
            clients = Clients(plant.api_urls, asking, http, began)
            helping = [
                asyncio.create_task(clients.retry_failed()),
                asyncio.create_task(_top_up(database, clients)),
            ]
            await clients.ask_all(plan)
            await asyncio.sleep(max(0.0, began + last_strike - monotonic()))
            await _wait_until_none(postgres, _UNENDED, began + seconds)
            await asyncio.sleep(_TURN_SECONDS + _SETTLED_SECONDS)
            # No turn runs any more: every chat was answered or died with its process. Their holds expire now.
            abandoned = await postgres.count(_LET_HOLDS_EXPIRE) or 0
            await _wait_until_none(postgres, _HELD, began + seconds)
            for helper in helping:
                helper.cancel()
            await asyncio.gather(*helping, return_exceptions=True)
    finally:
        await database.close()
    return clients.asked, abandoned


async def _top_up(database: Database, clients: Clients) -> None:
    """Grant more to organizations that were refused for want of credits, for ever; cancel it to end it."""
    number = 0
    while True:
        await asyncio.sleep(_TOP_UP_SECONDS)
        for organization_id in list(clients.in_need):
            # A grant whose reply was lost is repeated under its name, and added once.
            with suppress(ServiceUnavailableError, TimeoutError):
                async with asyncio.timeout(_TURN_SECONDS):
                    await organizations.grant(database, organization_id, _TOP_UP, f"top-up {number}")
                number += 1
                clients.in_need.discard(organization_id)


async def _wait_until_none(postgres: Postgres, query: str, deadline: float) -> None:
    while await postgres.count(query) != 0 and monotonic() < deadline:  # noqa: ASYNC110 - other processes do it
        await asyncio.sleep(_LOOK_SECONDS)


def _verify_ledger(plant: Plant) -> list[str]:
    """What the operator's own command says of the ledger, if it finds faults."""
    try:
        plant.run("verify-ledger")
    except StartupError as error:
        return [f"verify-ledger: {error}"]
    return []


async def _conclude(
    plant: Plant,
    plan: Plan,
    asking: list[Organization],
    store: Store,
    asked: Asked,
    abandoned: int,
    struck: list[Struck],
    seconds: float,
    violations: list[str],
) -> Result:
    async with httpx.AsyncClient() as http:
        # Before the checks, which fetch files themselves.
        vendor = await Vendor.read(http, plant.simulator_url)
        tables: Tables = await Postgres(plant.settings.database_url).read()
        balances = await read_balances(http, plant.api_urls[APIS[0]], asking)
        evidence = Evidence(plan, asked, struck, vendor, tables, balances, store.objects)
        judgement = await judge(evidence, http)
    coverage = measure(
        plan, vendor, struck, asked, judgement.verdict, [content.prediction_id for content in tables.contents]
    )
    return Result(
        seconds=seconds,
        asked=asked,
        struck=struck,
        abandoned_holds=abandoned,
        retries=sum(content.retry_count for content in tables.contents),
        endings=Counter(
            ": ".join(filter(None, (content.status, content.error_message))) for content in tables.contents
        ),
        coverage=coverage,
        judgement=judgement,
        lost_calls=tables.lost_calls,
        violations=violations + judgement.violations,
    )
