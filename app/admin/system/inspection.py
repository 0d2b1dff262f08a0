"""Reads all parts of the system at once, each within a second. What does not answer is said, and keeps nothing up."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.admin.system.queries import Failures, Queue, read_failures, read_queue
from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from app.core.redis_errors import explain
from app.core.schema import read_revisions
from app.core.watch import Finding
from app.predictions.budget import Standing
from app.queue.processes import Process, read_processes
from app.rate_limits.limiter import RateLimiter
from app.resources import Resources
from app.retention.runs import Run, last_runs
from app.retention.seals import find_faults

_T = TypeVar("_T")

_SECONDS = 0.8


@dataclass(frozen=True)
class Answer(Generic[_T]):
    """What a part has said, or why it has not."""

    value: _T | None = None
    fault: str = ""


@dataclass(frozen=True)
class System:
    """Everything that the page shows, as it was found.

    Attributes:
        queue: what waits and runs.
        failures: what has failed in a day.
        revisions: the schema's revision, and the one that this code needs.
        processes: those that have reported to Redis.
        vendor: what is left of the budget for creating predictions.
        is_shared: whether limits are counted in Redis, for all processes together.
        redis: what this process has last found of Redis.
        store: what it has last found of the object store.
        retention: the last run of each kind of pruning, and how many ledgers cannot be sealed.
    """

    queue: Answer[Queue]
    failures: Answer[Failures]
    revisions: Answer[tuple[str, str]]
    processes: Answer[Sequence[Process]]
    vendor: Answer[Standing]
    is_shared: Answer[bool]
    redis: Finding
    store: Finding
    retention: Answer[tuple[Sequence[Run], int]] = Answer()


async def read_system(resources: Resources, limiter: RateLimiter) -> System:
    """Ask all parts at once."""
    database, redis = resources.database, resources.redis
    parts = asyncio.gather(
        _ask(redis, _queue(database)),
        _ask(redis, _failures(database)),
        _ask(redis, _revisions(database)),
        _ask(redis, read_processes(redis)),
        _ask(redis, resources.vendor_budget.standing()),
        _ask(redis, limiter.is_shared()),
    )
    found, retention = await asyncio.gather(parts, _ask(redis, _retention(database)))
    queue, failures, revisions, processes, vendor, is_shared = found
    return System(
        queue=queue,
        failures=failures,
        revisions=revisions,
        processes=processes,
        vendor=vendor,
        is_shared=is_shared,
        redis=resources.redis_watch.finding,
        store=resources.object_watch.finding,
        retention=retention,
    )


async def _ask(redis: Redis, asked: Awaitable[_T]) -> Answer[_T]:
    try:
        async with asyncio.timeout(_SECONDS):
            return Answer(await asked)
    except TimeoutError:
        return Answer(fault="It did not answer within a second")
    except (RedisError, OSError) as error:
        return Answer(fault=explain(error, redis))
    except ServiceUnavailableError as error:
        return Answer(fault=error.text)


async def _queue(database: Database) -> Queue:
    async with database.transaction() as tx:
        return await read_queue(tx)


async def _failures(database: Database) -> Failures:
    async with database.transaction() as tx:
        return await read_failures(tx)


async def _retention(database: Database) -> tuple[Sequence[Run], int]:
    async with database.transaction() as tx:
        return await last_runs(tx), len(await find_faults(tx))


async def _revisions(database: Database) -> tuple[str, str]:
    async with database.transaction() as tx:
        return await read_revisions(tx)
