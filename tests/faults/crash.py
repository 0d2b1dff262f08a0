"""An installation whose API and worker are killed while they do work of every kind."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from arq import ArqRedis

from app.core.database import Database
from app.core.settings import Settings
from app.generations.service import GenerationPolicy, GenerationRequest, request_generation
from app.queue.arq import ArqQueue
from app.queue.open import open_redis
from devstack import process
from devstack.servers import EmbeddedServers
from tests import factories, programs
from tests.factories import Organization
from tests.patient import patient_transaction
from tests.programs import Api, api_process, running_apis
from tests.rate_limits.making import make_plan
from tests.rate_limits.windows import redis_seconds, slot_leases
from tests.vendors_simulator import VendorsSimulator, vendors_simulator
from tests.waiting import until

CHAT = "/v1/chat/completions"
KEY = {"Idempotency-Key": "cut-off"}
SLOTS = 5
STALLING = "sim-chat--stall-3"
KEYED = "sim-chat-keyed"
# One generation for each stage at which the worker is killed; the model's fault keeps it at that stage.
CREATING = "simulator/image--create-accept-then-timeout"
RUNNING = "simulator/image--start-slow-600"
COPYING = "simulator/image--delivery-stall-1"
COMPLETING = "simulator/image--output-list"

_CHAT_MODEL = """
[[models]]
name = "{name}"
kind = "chat"
max_output_tokens = 1000
price = {{ per_million_prompt_tokens = 1, per_million_completion_tokens = 2 }}
"""
_AGENT = '[[agents]]\nname = "main"\nis_orchestrator = true\nmodel = "{name}"\n'
_IS_CREATING = "SELECT status = 'processing' AND prediction_id IS NULL FROM generations WHERE model = $1"
_IS_RUNNING = "SELECT prediction_id IS NOT NULL FROM generations WHERE model = $1"
_BLOCKED = "SELECT count(*) FROM pg_locks WHERE relation = 'ledger_entries'::regclass AND NOT granted"
# Instead of waiting: moves due times, leases and expiries into the past.
_LET_TIME_PASS = (
    "UPDATE generations SET due_at = now() - interval '2 seconds' WHERE status IN ('pending', 'processing')",
    "UPDATE user_idempotency_keys SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL",
    "UPDATE idempotency_keys SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL",
)
_LET_HOLDS_EXPIRE = """
UPDATE credit_holds SET expires_at = now() - interval '1 second'
WHERE state = 'open' AND expires_at IS NOT NULL AND organization_id = ANY($1::text[])
"""


@dataclass(frozen=True)
class Installation:
    """An installation with its own servers and vendors."""

    settings: dict[str, str]
    folder: Path
    database: Database
    redis: ArqRedis
    vendors: VendorsSimulator


@dataclass(frozen=True)
class Crash:
    """What is left after the crash: the API that still runs, and the organizations whose work was cut off.

    `leases` are the remaining seconds of the slots' leases at `killed_at`, by Redis's clock.
    """

    installation: Installation
    api: Api
    chatting: Organization
    keyed: Organization
    generating: Organization
    settling: Organization
    living: Organization
    leases: Sequence[float]
    killed_at: float

    @property
    def cut_off(self) -> Sequence[Organization]:
        return self.chatting, self.keyed, self.generating, self.settling


@asynccontextmanager
async def installation(environment: dict[str, str], folder: Path) -> AsyncIterator[Installation]:
    """Postgres, Redis and vendors that no other test uses, with schema, plan and prices."""
    with EmbeddedServers(folder / "servers", durable=False) as servers, vendors_simulator() as vendors:
        settings = {
            **environment,
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "LOCAL_STORAGE_DIR": str(folder / "objects"),
            "LLM_BASE_URL": vendors.openai_url,
            "REPLICATE_BASE_URL": vendors.replicate_url,
            "OUTPUT_HOSTS": vendors.url.removeprefix("http://"),
        }
        programs.migrate(settings, folder)
        database, redis = Database.open(_typed(settings)), open_redis(_typed(settings))
        await factories.import_catalog(database)
        await factories.import_catalog(database, "".join(_CHAT_MODEL.format(name=name) for name in (STALLING, KEYED)))
        await factories.price_models(database, CREATING, RUNNING, COPYING, COMPLETING)
        await factories.set_roomy_plan(database)
        yield Installation(settings, folder, database, redis, vendors)
        await redis.aclose(close_connection_pool=True)
        await database.close()


@asynccontextmanager
async def crash(installed: Installation) -> AsyncIterator[Crash]:
    """Give an API and a worker work to do, kill both, let time pass, and start a new worker."""
    plan = await make_plan(installed.database, concurrent=SLOTS)
    chatting, living = [await _organization(installed, STALLING, plan=plan) for _ in range(2)]
    keyed = await _organization(installed, KEYED)
    generating, settling = [await factories.make_organization(installed.database) for _ in range(2)]
    installed.vendors.order_fault(KEYED, "stall")
    logs = [installed.folder / f"{name}.log" for name in ("doomed-api", "living-api", "doomed-worker", "new-worker")]
    async with (
        running_apis(*(api_process(installed.settings, log) for log in logs[:2])) as (doomed, survivor),
        AsyncExitStack() as chats,
    ):
        with programs.running_worker(installed.settings, logs[2]) as worker:
            await chats.enter_async_context(_chat(survivor, living, "I stay", stream=True))
            # From now on, work that is about to be charged blocks at its last step.
            async with patient_transaction(installed.database) as tx:
                await tx.execute("LOCK TABLE ledger_entries IN SHARE MODE")
                for number in range(SLOTS):
                    chat = _chat(doomed, chatting, f"Chat {number}", stream=number % 2 == 0)
                    await chats.enter_async_context(chat)
                await chats.enter_async_context(_chat(doomed, keyed, "Once", headers=KEY))
                await chats.enter_async_context(_chat(doomed, settling, "Hello"))
                await chats.enter_async_context(_chat(doomed, generating, f"Please make {RUNNING} of a quay"))
                await _generate(installed, generating, CREATING, COPYING, COMPLETING)
                await until(lambda: _is_under_way(installed))
                killed_at = await redis_seconds(installed.redis)
                leases = await slot_leases(installed.redis, chatting.id)
                doomed.kill()
                process.kill(worker)
        left = Crash(installed, survivor, chatting, keyed, generating, settling, living, leases, killed_at)
        await _let_time_pass(installed, left.cut_off)
        with programs.running_worker(installed.settings, logs[3]):
            yield left


async def _is_under_way(installed: Installation) -> bool:
    """Whether all work has reached the stage at which it will be cut off."""
    chats = [entry["model"] for entry in installed.vendors.log("chat") if entry["outcome"] is None]
    is_delivering = any("delivery-stall" in entry["faults"] for entry in installed.vendors.log("delivery"))
    async with installed.database.transaction() as tx:
        return (
            # The chats, and the one whose API is not killed.
            (chats.count(STALLING), chats.count(KEYED)) == (SLOTS + 1, 1)
            and is_delivering
            and bool(await tx.fetchval(_IS_CREATING, CREATING))
            and bool(await tx.fetchval(_IS_RUNNING, RUNNING))
            # A chat and a generation that are about to be charged.
            and await tx.fetchval(_BLOCKED) == 2
        )


async def _let_time_pass(installed: Installation, cut_off: Sequence[Organization]) -> None:
    """Make it look as if nothing had run for an hour."""
    async with installed.database.transaction() as tx:
        for statement in _LET_TIME_PASS:
            await tx.execute(statement)
        await tx.execute(_LET_HOLDS_EXPIRE, [organization.id for organization in cut_off])
    installed.vendors.skip(600)


@asynccontextmanager
async def _chat(
    api: Api, organization: Organization, words: str, *, stream: bool = False, headers: Mapping[str, str] | None = None
) -> AsyncIterator[None]:
    """A chat that runs during the block; its result does not matter."""
    body = {"messages": [{"role": "user", "content": words}], "stream": stream}
    async with httpx.AsyncClient(base_url=api.base_url, headers=organization.headers, timeout=60) as client:
        asking = asyncio.create_task(client.post(CHAT, json=body, headers=headers))
        try:
            yield
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def _organization(installed: Installation, model: str, *, plan: str = "roomy") -> Organization:
    return await factories.make_organization(installed.database, agents=_AGENT.format(name=model), plan=plan)


async def _generate(installed: Installation, organization: Organization, *models: str) -> None:
    """Have the worker start one generation for each stage."""
    for model in models:
        wanted = GenerationRequest(organization.id, organization.user_id, None, None, model, {"prompt": model})
        async with installed.database.transaction() as tx:
            await request_generation(
                tx, ArqQueue(installed.redis), GenerationPolicy.of(_typed(installed.settings)), wanted
            )


def _typed(settings: Mapping[str, str]) -> Settings:
    return Settings.model_validate({name.lower(): value for name, value in settings.items()})
