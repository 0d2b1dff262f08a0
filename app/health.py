import asyncio
import hmac
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.database import Database
from app.core.errors import NotFoundError, ServiceUnavailableError
from app.core.postgres_errors import ReadOnlyServerError, is_read_only
from app.core.postgres_errors import is_refused as is_postgres_refused
from app.core.redis_errors import is_refused as is_redis_refused
from app.core.schema import SchemaState, read_schema_state
from app.core.watch import UNKNOWN, Watch
from app.dependencies import ResourcesDep, SettingsDep
from app.predictions.budget import VendorBudget
from app.queue.heartbeat import read_loops
from app.queue.probe import probe_redis
from app.rate_limits.limiter import RateLimiter
from app.storage.probe import MISCONFIGURED

router = APIRouter(tags=["Operations"])

# Probes give up soon, and a late response means a dead process to them.
_POSTGRES_SECONDS = 2.0
_REDIS_SECONDS = 1.0
_VENDOR_IS_DENIED = Gauge("junis_vendor_is_denied", "Whether the vendor refuses the operator's account now: 1 or 0")


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive: the process responds."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Not ready", "model": dict[str, str | dict[str, str]]}})
async def readyz(resources: ResourcesDep, request: Request, response: Response) -> dict[str, str | dict[str, str]]:
    """Ready: 503 if the process is stopping, Postgres cannot be used, or the object store refuses a new process."""
    database = await _database_state(resources.probes)
    if database == "ok" and resources.database.was_full:
        database = "full"
    # What only reads still works while the disk is full, and with every process out of rotation nothing would.
    is_ready = database in {"ok", "full"} and not _is_set_up_wrongly(resources.object_watch)
    status = "stopping" if request.app.state.is_stopping else "ready" if is_ready else "not_ready"
    response.status_code = 200 if status == "ready" else 503
    return {
        "status": status,
        "database": database,
        "objects": resources.object_watch.finding.state,
        **await _states_in_redis(resources.redis, resources.vendor_budget, request.app.state.limiter),
    }


@router.get("/metrics", include_in_schema=False)
async def metrics(settings: SettingsDep, resources: ResourcesDep, request: Request) -> Response:
    """This process's metrics for Prometheus, if the request carries the operator's METRICS_TOKEN."""
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not _is_one_of(settings.metrics_tokens, shown.strip()):
        raise NotFoundError
    # All processes report the same value, whichever of them was refused.
    states = await _states_in_redis(resources.redis, resources.vendor_budget, request.app.state.limiter)
    _VENDOR_IS_DENIED.set(states["vendor"] == "denied")
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _is_one_of(tokens: Sequence[str], shown: str) -> bool:
    return any(hmac.compare_digest(token.encode(), shown.encode()) for token in tokens)


async def _database_state(database: Database) -> str:
    try:
        async with asyncio.timeout(_POSTGRES_SECONDS), database.transaction() as tx:
            if await tx.fetchval("SHOW transaction_read_only") == "on":
                raise ReadOnlyServerError("Postgres takes no writes")
            state = await read_schema_state(tx)
    except ServiceUnavailableError as error:
        return _database_fault(error.__cause__ or error)
    except TimeoutError:
        return "away"
    return {SchemaState.MISSING: "schema_missing", SchemaState.BEHIND: "schema_behind"}.get(state, "ok")


def _database_fault(error: BaseException) -> str:
    if is_postgres_refused(error):
        return "refused"
    return "read_only" if is_read_only(error) else "away"


def _is_set_up_wrongly(objects: Watch) -> bool:
    """Whether the store refuses a process that it has never served, or is still being asked for the first time.

    A deployment is stopped by that. A store that fails later takes no process out of rotation: chat works without it.
    """
    return not objects.was_ok and (objects.finding is UNKNOWN or objects.finding.state in MISCONFIGURED)


async def _states_in_redis(redis: Redis, budget: VendorBudget, limiter: RateLimiter) -> dict[str, str | dict[str, str]]:
    """Redis and what limits do there, the workers and their loops, and whether the vendor refuses the account."""
    try:
        async with asyncio.timeout(_REDIS_SECONDS):
            loops = await read_loops(redis)
            denial = await budget.denial()
    except (RedisError, OSError) as error:
        return {"redis": "refused" if is_redis_refused(error) else "away", "worker": "unknown", "vendor": "unknown"}
    # The script of the limits may still write where single commands are refused for want of memory.
    takes_writes = await limiter.is_shared() and (await probe_redis(redis)).is_ok
    states = {name: "ok" if comes_round else "stalled" for name, comes_round in (loops or {}).items()}
    # What takes no writes takes no heartbeats.
    silence = "silent" if takes_writes else "unknown"
    worker = silence if loops is None else "stalled" if "stalled" in states.values() else "ok"
    return {
        "redis": "ok" if takes_writes else "degraded",
        "worker": worker,
        **({"worker_loops": states} if states else {}),
        "vendor": "denied" if denial else "ok",
    }
