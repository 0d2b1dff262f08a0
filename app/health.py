from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from fastapi import APIRouter, Response
from redis.exceptions import RedisError

from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from app.dependencies import ResourcesDep
from app.queue.heartbeat import is_worker_alive
from app.resources import Resources

ALEMBIC_INI = Path(__file__).parents[1] / "alembic.ini"

router = APIRouter(tags=["Operations"])


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
    redis, worker = await _redis_and_worker_state(resources)
    return {"status": "ready" if is_ready else "not_ready", "database": database, "redis": redis, "worker": worker}


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


async def _redis_and_worker_state(resources: Resources) -> tuple[str, str]:
    try:
        is_alive = await is_worker_alive(resources.redis)
    except (RedisError, OSError):
        return "away", "unknown"
    return "ok", "ok" if is_alive else "silent"
