"""What the metrics say of all processes together: read every few seconds by one of them, and shown by that one.

The reader is whoever has a lease in Redis. The others look again when that lease would end, so that there is another
reader within it. While Redis is away every process reads for itself, which does no harm: what they show is the same.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, NoReturn

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.concurrency import cancel_all
from app.core.crypto import random_token
from app.core.errors import ServiceUnavailableError
from app.core.redis_keys import redis_key
from app.generations.backlog import Backlog, read_backlog
from app.predictions.budget import Standing
from app.queue.heartbeat import read_loops
from app.resources import Resources

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 15.0
# A reader that has missed two rounds is taken to be gone, and what it has read is shown no longer.
LEASE_SECONDS: Final = 45
_LEASE = redis_key("metrics-reader")
# A lease that ends this moment is not asked for at once again.
_SHORTEST_SECONDS: Final = 0.1
_GIVE_BACK_SECONDS: Final = 1.0


@dataclass(frozen=True)
class _Fleet:
    """What was read, and when by the monotonic clock. What could not be read is None."""

    read_at: float
    backlog: Backlog | None
    loops: dict[str, bool] | None
    budget: Standing | None


class _Shown(Collector):
    """Shows what this process has read of all of them, as long as it is fresh; nothing if another one reads."""

    fleet: _Fleet | None = None

    def describe(self) -> Sequence[GaugeMetricFamily]:
        """What `collect` offers, without values."""
        return (
            GaugeMetricFamily("junis_queue_rows", "Generations that have not ended", labels=["state"]),
            GaugeMetricFamily(
                "junis_queue_oldest_due_seconds", "For how long the oldest due row waits for a step", labels=["step"]
            ),
            GaugeMetricFamily(
                "junis_worker_loop_is_live", "Whether a loop comes round in all live workers: 1 or 0", labels=["loop"]
            ),
            GaugeMetricFamily("junis_vendor_budget_creates", "Predictions that the budget allows at once now"),
            GaugeMetricFamily(
                "junis_vendor_budget_blocked_seconds", "For how long the vendor allows no prediction after a refusal"
            ),
        )

    def collect(self) -> Iterator[Metric]:
        """The figures, if they are fresh."""
        fleet = self.fleet
        if fleet is None or monotonic() > fleet.read_at + LEASE_SECONDS:
            return
        rows, oldest, loops, creates, blocked = self.describe()
        if fleet.backlog:
            for state, count in fleet.backlog.rows.items():
                rows.add_metric([state.value], count)
            for step, seconds in fleet.backlog.oldest.items():
                oldest.add_metric([step], seconds)
        for name, is_live in (fleet.loops or {}).items():
            loops.add_metric([name], is_live)
        if fleet.budget:
            creates.add_metric([], fleet.budget.creates)
            blocked.add_metric([], fleet.budget.blocked_for.total_seconds())
        yield from (rows, oldest, loops, creates, blocked)


_SHOWN: Final = _Shown()
REGISTRY.register(_SHOWN)


@asynccontextmanager
async def reading_fleet(resources: Resources) -> AsyncIterator[None]:
    """Read what concerns all processes while the block runs, whenever it is this one's turn."""
    name = random_token()
    reading = asyncio.create_task(_read_for_ever(resources, name))
    try:
        yield
    finally:
        await cancel_all([reading])
        _SHOWN.fleet = None
        await _give_back(resources.redis, name)


async def _read_for_ever(resources: Resources, name: str) -> NoReturn:
    while True:
        pause = EVERY_SECONDS
        try:
            others = await _lease_of_another(resources.redis, name)
            _SHOWN.fleet = None if others else await _read(resources)
            # The one that has it renews it in time, or it is gone by then.
            pause = min(EVERY_SECONDS, others or EVERY_SECONDS)
        except Exception:  # a defect, and no reason to stop reading
            logger.exception("fleet_not_read")
        await asyncio.sleep(pause)


async def _lease_of_another(redis: Redis, name: str) -> float:
    """For how many seconds another process has the lease. 0 if this one has it, or gets it, or nobody can have it."""
    try:
        if await redis.set(_LEASE, name, nx=True, ex=LEASE_SECONDS):
            return 0
        if await redis.get(_LEASE) != name.encode():
            left = await redis.pttl(_LEASE)
            # Without an end it is none of ours.
            return EVERY_SECONDS if left == -1 else max(_SHORTEST_SECONDS, left / 1000)
        # Another one may have taken it since. Two that read for a while do no harm.
        await redis.expire(_LEASE, LEASE_SECONDS)
    except (RedisError, OSError):
        return 0
    return 0


async def _give_back(redis: Redis, name: str) -> None:
    """Let the next process that looks have the lease, if this one has it."""
    with suppress(RedisError, OSError):
        async with asyncio.timeout(_GIVE_BACK_SECONDS):
            if await redis.get(_LEASE) == name.encode():
                # If another one has got it since, one more reads for a while, which does no harm.
                await redis.delete(_LEASE)


async def _read(resources: Resources) -> _Fleet:
    read_at = monotonic()
    backlog = loops = budget = None
    # Whatever is away, its own line in the log says so.
    with suppress(ServiceUnavailableError):
        backlog = await read_backlog(resources.database)
    with suppress(RedisError, OSError):
        loops = await read_loops(resources.redis)
        budget = await resources.vendor_budget.standing()
    return _Fleet(read_at, backlog, loops, budget)
