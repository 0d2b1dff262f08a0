import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.metrics import REDIS_AWAY
from app.rate_limits.local_windows import LocalWindows
from app.rate_limits.policy import HOUR_SECONDS, MINUTE_SECONDS, Decision, Limits, Refusal, Window

logger = logging.getLogger(__name__)

LEASE_SECONDS = 15
RENEW_SECONDS = 5
_MICROSECONDS = 1_000_000
# While Redis is away, only one request a second waits to find out whether it still is.
_AWAY_PAUSE_SECONDS = 1.0
# A Redis that takes connections and does not answer is away as well.
_LONGEST_ANSWER_SECONDS = 1.0

_HERE = Path(__file__).parent
_T = TypeVar("_T")


@dataclass(frozen=True)
class Slot:
    """The place of one running request among those that its organization may run at once."""

    organization_id: str
    request: str


class RateLimiter:
    """Decides requests in Redis, at one round trip each; where Redis is away, within this process.

    Slots are leases: `renew_for_ever` keeps those of living requests, and those of a killed process run out.
    """

    def __init__(self, redis: Redis) -> None:
        self._admit = redis.register_script((_HERE / "admit.lua").read_text())
        self._fail = redis.register_script((_HERE / "fail.lua").read_text())
        self._renew = redis.register_script((_HERE / "renew.lua").read_text())
        self._uncount = redis.register_script((_HERE / "uncount.lua").read_text())
        self._redis = redis
        self._local = LocalWindows()
        self._live: dict[str, set[str]] = {}
        self._away_until = 0.0
        self._renewing = asyncio.Lock()

    async def admit(self, limits: Limits) -> tuple[Decision, Slot | None]:
        """Decide one request. The slot, where it is admitted, is to be given to `release`."""
        slot = Slot(limits.organization_id, secrets.token_hex(8))
        decision = await self._decide(limits, slot, is_counted=True)
        if decision.refusal is not None:
            return decision, None
        self._live.setdefault(slot.organization_id, set()).add(slot.request)
        return decision, slot

    async def look(self, limits: Limits) -> Decision:
        """The windows as they are, for a request that is refused for another reason and counts in none."""
        return await self._decide(limits, Slot(limits.organization_id, ""), is_counted=False)

    async def release(self, slot: Slot) -> None:
        """Give the place back; a second time does nothing."""
        live = self._live.get(slot.organization_id, set())
        if slot.request not in live:
            return
        live.discard(slot.request)
        if not live:
            self._live.pop(slot.organization_id, None)
        # A renewal that is on its way would put the slot back behind us.
        async with self._renewing:
            pass
        await self._ask_redis(partial(self._redis.zrem, _slots(slot.organization_id), slot.request))

    async def fail(self, address: str, limit: int) -> tuple[bool, Window]:
        """Count a failed attempt of an address to show a key; whether it was within the limit."""
        answer = await self._ask_redis(
            partial(self._fail, keys=[f"junis:failures:{address}"], args=[secrets.token_hex(8), limit])
        )
        if answer is None:
            return self._local.fail(address, limit)
        used, now, oldest = int(answer[0]), int(answer[1]), int(float(answer[2]))
        return used < limit, _window(limit, min(limit, used + 1), oldest, now, MINUTE_SECONDS)

    async def renew(self) -> None:
        """Renew the leases of all requests that run in this process, in one round trip."""
        async with self._renewing:
            live = {organization_id: sorted(requests) for organization_id, requests in self._live.items()}
            if not live:
                return
            arguments: list[Any] = [LEASE_SECONDS * _MICROSECONDS]
            for requests in live.values():
                arguments += [len(requests), *requests]
            await self._ask_redis(partial(self._renew, keys=[_slots(name) for name in live], args=arguments))

    async def renew_for_ever(self) -> None:
        """Renew until cancelled: a renewal that fails is followed by the next one."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self.renew()
            except Exception:  # the next renewal comes all the same
                logger.exception("leases_not_renewed")

    async def _decide(self, limits: Limits, slot: Slot, *, is_counted: bool) -> Decision:
        decision = await self._ask_redis(partial(self._decide_in_redis, limits, slot, is_counted=is_counted))
        if decision is not None:
            return decision
        live_slots = len(self._live.get(limits.organization_id, ()))
        return self._local.decide(limits, live_slots, is_counted=is_counted)

    async def _decide_in_redis(self, limits: Limits, slot: Slot, *, is_counted: bool) -> Decision:
        organization, key = limits.organization_id, limits.key_id
        answer = await self._admit(
            keys=[f"junis:minute:{organization}", _slots(organization), f"junis:minute:{key}", f"junis:hour:{key}"],
            args=[
                slot.request,
                limits.per_minute,
                limits.concurrent,
                limits.key_per_minute or 0,
                limits.key_per_hour or 0,
                LEASE_SECONDS * _MICROSECONDS,
                int(is_counted),
            ],
        )
        return _decision(limits, answer)

    async def _ask_redis(self, question: Callable[[], Awaitable[_T]]) -> _T | None:
        """Redis's answer, or None while it is away."""
        if time.monotonic() < self._away_until:
            return None
        if self._away_until:
            # The others go on within the process while this question finds out.
            self._away_until = time.monotonic() + _AWAY_PAUSE_SECONDS
        try:
            async with asyncio.timeout(_LONGEST_ANSWER_SECONDS):
                answer = await question()
        except (RedisError, OSError) as error:
            REDIS_AWAY.inc()
            if not self._away_until:
                logger.error("redis_away", extra={"reason": repr(error)})
            self._away_until = time.monotonic() + _AWAY_PAUSE_SECONDS
            return None
        if self._away_until:
            logger.info("redis_back")
            # What was counted within the process is kept: else each outage of many short ones would open new windows.
            self._away_until = 0.0
        return answer

    async def uncount(self, limits: Limits, slot: Slot) -> Decision:
        """Count an admitted request in no window; its place stays its own. The windows as they are without it."""
        organization, key = limits.organization_id, limits.key_id
        keys = [f"junis:minute:{organization}", f"junis:minute:{key}", f"junis:hour:{key}"]
        if await self._ask_redis(partial(self._uncount, keys=keys, args=[slot.request])) is None:
            self._local.uncount(limits)
        return await self.look(limits)


@asynccontextmanager
async def open_rate_limiter(redis: Redis) -> AsyncIterator[RateLimiter]:
    """The limiter of a process, renewing its leases."""
    limiter = RateLimiter(redis)
    renewing = asyncio.create_task(limiter.renew_for_ever())
    try:
        yield limiter
    finally:
        renewing.cancel()


def _slots(organization_id: str) -> str:
    return f"junis:slots:{organization_id}"


def _decision(limits: Limits, answer: list[Any]) -> Decision:
    refusal = answer[0].decode()
    wait, now, used, oldest, key_used, key_oldest, hour_used, first_minute = (int(value) for value in answer[1:])
    key_minute = key_hour = None
    if limits.key_per_minute:
        key_minute = _window(limits.key_per_minute, key_used, key_oldest, now, MINUTE_SECONDS)
    if limits.key_per_hour:
        first = first_minute * MINUTE_SECONDS * _MICROSECONDS
        key_hour = _window(limits.key_per_hour, hour_used, first, now, HOUR_SECONDS + MINUTE_SECONDS)
    return Decision(
        refusal=Refusal(refusal) if refusal else None,
        wait_seconds=wait / _MICROSECONDS,
        organization=_window(limits.per_minute, used, oldest, now, MINUTE_SECONDS),
        key_minute=key_minute,
        key_hour=key_hour,
    )


def _window(limit: int, used: int, oldest: int, now: int, seconds: int) -> Window:
    leaves_at = (oldest or now) + seconds * _MICROSECONDS
    return Window(limit, used, -(-leaves_at // _MICROSECONDS), (leaves_at - now) / _MICROSECONDS)
