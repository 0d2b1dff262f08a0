import asyncio
import hmac
from functools import cache

from alembic.config import Config
from alembic.script import ScriptDirectory
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from redis.exceptions import RedisError

from app.core.database import Database
from app.core.errors import NotFoundError, ServiceUnavailableError
from app.core.paths import ALEMBIC_INI
from app.dependencies import ResourcesDep, SettingsDep
from app.queue.heartbeat import is_worker_alive
from app.resources import Resources

router = APIRouter(tags=["Operations"])

_REDIS_SECONDS = 1.0
_VENDOR_IS_DENIED = Gauge("junis_vendor_is_denied", "Whether the vendor refuses the operator's account now: 1 or 0")


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive: the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(resources: ResourcesDep, response: Response) -> dict[str, str]:
    """Ready: 503 only where Postgres is away or its schema is behind. The rest is told and degrades nothing else."""
    database = await _database_state(resources.database)
    is_ready = database == "ok"
    response.status_code = 200 if is_ready else 503
    return {
        "status": "ready" if is_ready else "not_ready",
        "database": database,
        **await _states_in_redis(resources),
    }


@router.get("/metrics", include_in_schema=False)
async def metrics(settings: SettingsDep, resources: ResourcesDep, request: Request) -> Response:
    """This process's figures for Prometheus, for whoever shows the operator's METRICS_TOKEN."""
    token = settings.metrics_token.get_secret_value()
    shown = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not token or not hmac.compare_digest(token.encode(), shown.encode()):
        raise NotFoundError
    # Of all processes, whichever of them has found it out.
    _VENDOR_IS_DENIED.set((await _states_in_redis(resources))["vendor"] == "denied")
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@cache
def newest_migration() -> str | None:
    """The revision that this code was written for."""
    return ScriptDirectory.from_config(Config(ALEMBIC_INI)).get_current_head()


async def _database_state(database: Database) -> str:
    try:
        async with database.transaction() as tx:
            if await tx.fetchval("SELECT to_regclass('alembic_version')") is None:
                return "schema_missing"
            current = await tx.fetchval("SELECT version_num FROM alembic_version")
    except ServiceUnavailableError:
        return "away"
    return "ok" if current == newest_migration() else "schema_behind"


async def _states_in_redis(resources: Resources) -> dict[str, str]:
    try:
        # Whoever asks gives up soon, and takes that for the whole process.
        async with asyncio.timeout(_REDIS_SECONDS):
            is_alive = await is_worker_alive(resources.redis)
            denial = await resources.vendor_budget.denial()
    except (RedisError, OSError):
        return {"redis": "away", "worker": "unknown", "vendor": "unknown"}
    return {"redis": "ok", "worker": "ok" if is_alive else "silent", "vendor": "denied" if denial else "ok"}
