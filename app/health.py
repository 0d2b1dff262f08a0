import asyncio
import hmac

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.database import Database
from app.core.errors import NotFoundError, ServiceUnavailableError
from app.core.schema import SchemaState, read_schema_state
from app.dependencies import ResourcesDep, SettingsDep
from app.predictions.budget import VendorBudget
from app.queue.heartbeat import read_loops

router = APIRouter(tags=["Operations"])

# Probes give up soon, and a late response means a dead process to them.
_POSTGRES_SECONDS = 2.0
_REDIS_SECONDS = 1.0
_VENDOR_IS_DENIED = Gauge("junis_vendor_is_denied", "Whether the vendor refuses the operator's account now: 1 or 0")


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive: the process responds."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(resources: ResourcesDep, request: Request, response: Response) -> dict[str, str | dict[str, str]]:
    """Ready: 503 only if the process is stopping, or Postgres is away or its schema behind. The rest is information."""
    database = await _database_state(resources.probes)
    status = "stopping" if request.app.state.is_stopping else "ready" if database == "ok" else "not_ready"
    response.status_code = 200 if status == "ready" else 503
    return {
        "status": status,
        "database": database,
        **await _states_in_redis(resources.redis, resources.vendor_budget),
    }


@router.get("/metrics", include_in_schema=False)
async def metrics(settings: SettingsDep, resources: ResourcesDep, request: Request) -> Response:
    """This process's metrics for Prometheus, if the request carries the operator's METRICS_TOKEN."""
    token = settings.metrics_token.get_secret_value()
    shown = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not token or not hmac.compare_digest(token.encode(), shown.encode()):
        raise NotFoundError
    # All processes report the same value, whichever of them was refused.
    _VENDOR_IS_DENIED.set((await _states_in_redis(resources.redis, resources.vendor_budget))["vendor"] == "denied")
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _database_state(database: Database) -> str:
    try:
        async with asyncio.timeout(_POSTGRES_SECONDS), database.transaction() as tx:
            state = await read_schema_state(tx)
    except (ServiceUnavailableError, TimeoutError):
        return "away"
    return {SchemaState.MISSING: "schema_missing", SchemaState.BEHIND: "schema_behind"}.get(state, "ok")


async def _states_in_redis(redis: Redis, budget: VendorBudget) -> dict[str, str | dict[str, str]]:
    """Redis itself, the workers and their loops, and whether the vendor refuses the operator's account."""
    try:
        async with asyncio.timeout(_REDIS_SECONDS):
            loops = await read_loops(redis)
            denial = await budget.denial()
    except (RedisError, OSError):
        return {"redis": "away", "worker": "unknown", "vendor": "unknown"}
    states = {name: "ok" if comes_round else "stalled" for name, comes_round in (loops or {}).items()}
    worker = "silent" if loops is None else "stalled" if "stalled" in states.values() else "ok"
    return {
        "redis": "ok",
        "worker": worker,
        **({"worker_loops": states} if states else {}),
        "vendor": "denied" if denial else "ok",
    }
