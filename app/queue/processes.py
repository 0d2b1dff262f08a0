"""The processes of the server, as they report to Redis: for operators, who want to see which run and which are silent.

Nothing is decided by it. A process that has stopped is forgotten at once, one that has crashed after ten minutes.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn, cast

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.clock import now
from app.core.concurrency import cancel_all
from app.core.crypto import random_token
from app.core.redis_keys import redis_key

_PROCESSES = redis_key("processes")
_EVERY_SECONDS = 5.0
_KEPT_SECONDS = 600
# So long may a live process be late.
SILENT_AFTER_SECONDS = 30.0
_FORGET_SECONDS = 1.0
# However many there are, an operator looks at no more.
_MOST = 200


class ProcessKind(StrEnum):
    """What a process does."""

    API = "api"
    WORKER = "worker"


@dataclass(frozen=True)
class Process:
    """A process as it has last reported.

    Attributes:
        id: made up when it started.
        kind: what it does.
        host: the machine or container that it runs in.
        pid: its number there.
        version: the version of its code.
        since: when it started, by its own clock.
        memory: bytes of the machine's memory; None if it does not know.
        loops: for each of its loops, whether it still runs.
        silent_for: seconds since the report.
    """

    id: str
    kind: ProcessKind
    host: str
    pid: int
    version: str
    since: datetime
    memory: int | None
    loops: Mapping[str, bool]
    silent_for: float

    @property
    def is_silent(self) -> bool:
        """Whether it should have reported again."""
        return self.silent_for > SILENT_AFTER_SECONDS


@asynccontextmanager
async def reporting(
    redis: Redis, kind: ProcessKind, loops: Callable[[], Mapping[str, bool]] = dict
) -> AsyncIterator[None]:
    """Report this process every few seconds while the block runs. While Redis is away, it goes unreported.

    Args:
        redis: where to.
        kind: what this process does.
        loops: says for each of its loops whether it still runs.
    """
    process_id, since = random_token(), now()
    task = asyncio.create_task(_report_for_ever(redis, process_id, kind, since, loops))
    try:
        yield
    finally:
        await cancel_all([task])
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(_FORGET_SECONDS):
                await redis.delete(_key(process_id))


async def _report_for_ever(
    redis: Redis, process_id: str, kind: ProcessKind, since: datetime, loops: Callable[[], Mapping[str, bool]]
) -> NoReturn:
    while True:
        facts = {
            "kind": kind.value,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": _version(),
            "since": since.isoformat(),
            "memory": _memory(),
            "loops": dict(loops()),
        }
        with suppress(RedisError, OSError):
            async with redis.pipeline(transaction=False) as pipe:
                pipe.set(_key(process_id), orjson.dumps(facts), ex=_KEPT_SECONDS)
                pipe.sadd(_PROCESSES, process_id)
                await pipe.execute()
        await asyncio.sleep(_EVERY_SECONDS)


async def read_processes(redis: Redis) -> Sequence[Process]:
    """All processes that have reported within the last ten minutes and have not stopped, workers first.

    Raises:
        RedisError, OSError: Redis is away.
    """
    # redis-py types its commands for its synchronous client, too.
    known: set[bytes] = await cast("Awaitable[set[bytes]]", redis.smembers(_PROCESSES))
    ids = sorted(each.decode() for each in known)[:_MOST]
    async with redis.pipeline(transaction=False) as pipe:
        for process_id in ids:
            pipe.get(_key(process_id))
            pipe.pttl(_key(process_id))
        answers = await pipe.execute() if ids else []
    found = dict(zip(ids, zip(answers[::2], answers[1::2], strict=True), strict=True))
    if gone := [process_id for process_id, (value, _) in found.items() if value is None]:
        await cast("Awaitable[int]", redis.srem(_PROCESSES, *gone))
    processes = [_process(process_id, value, left) for process_id, (value, left) in found.items() if value is not None]
    return sorted(processes, key=lambda each: (each.kind != ProcessKind.WORKER, each.host, each.pid, each.id))


def _process(process_id: str, value: bytes, left_milliseconds: int) -> Process:
    facts: dict[str, Any] = orjson.loads(value)
    return Process(
        id=process_id,
        kind=ProcessKind(facts["kind"]),
        host=facts["host"],
        pid=facts["pid"],
        version=facts["version"],
        since=datetime.fromisoformat(facts["since"]).astimezone(UTC),
        memory=facts["memory"],
        loops=facts["loops"],
        silent_for=max(0.0, _KEPT_SECONDS - left_milliseconds / 1000),
    )


def _key(process_id: str) -> str:
    return redis_key("process", process_id)


def _version() -> str:
    try:
        return version("junis-server")
    except PackageNotFoundError:
        return "unknown"


def _memory() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
