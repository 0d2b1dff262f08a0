import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.metrics import RATE_LIMIT_DECISIONS, REDIS_AWAY
from app.core.redis_errors import explain
from app.core.redis_keys import redis_key
from app.rate_limits.decisions import HOUR_SECONDS, MINUTE_SECONDS, Decision, Limits, Refusal, Window
from app.rate_limits.local_windows import LocalWindows
from app.rate_limits.round_trips import RESPONSE_SECONDS, Command, RoundTrips, Script

logger = logging.getLogger(__name__)

LEASE_SECONDS = 15
RENEW_SECONDS = 5
_MICROSECONDS = 1_000_000
# While Redis is away, only one request a second waits to find out whether it is back.
_AWAY_PAUSE_SECONDS = 1.0

# It has one member in each of its sets, however often it asks.
_NOBODY = Limits("nobody", "nobody", per_minute=1000, concurrent=1000, key_per_minute=None, key_per_hour=None)

_HERE = Path(__file__).parent
_ADMIT, _FAIL, _RENEW, _UNCOUNT = (
    Script((_HERE / f"{name}.lua").read_text()) for name in ("admit", "fail", "renew", "uncount")
)


# By why a request was refused, and by whether that was decided in Redis.
_DECISIONS = {
    (refusal, in_redis): RATE_LIMIT_DECISIONS.labels(refusal or "admitted", "redis" if in_redis else "process")
    for refusal in (None, *Refusal)
    for in_redis in (True, False)
}
_FAILED_ATTEMPTS = {
    in_redis: RATE_LIMIT_DECISIONS.labels("failed_attempts", "redis" if in_redis else "process")
    for in_redis in (True, False)
}


@dataclass(frozen=True)
class Slot:
    """A running request, as one of those that its organization may run at once."""

    organization_id: str
    request: str


class RateLimiter:
    """Decides requests in Redis, with one round trip at most, or within this process while Redis is away.

    Slots are leases: `renew_for_ever` renews those of running requests, and those of a killed process expire.
    """

    def __init__(self, redis: Redis, *, response_seconds: float = RESPONSE_SECONDS) -> None:
        """Decide in this Redis, which counts as away if it does not respond within so many seconds."""
        self._round_trips = RoundTrips(redis, response_seconds=response_seconds)
        self._redis = redis
        self._local = LocalWindows()
        self._live: dict[str, set[str]] = {}
        self._away_until = 0.0
        self._renewing = asyncio.Lock()

    async def admit(self, limits: Limits) -> tuple[Decision, Slot | None]:
        """Decide one request. If it is admitted, its slot must be passed to `release` when it ends."""
        slot = Slot(limits.organization_id, secrets.token_hex(8))
        decision = await self._decide(limits, slot, is_counted=True)
        if decision.refusal is not None:
            return decision, None
        self._live.setdefault(slot.organization_id, set()).add(slot.request)
        return decision, slot

    async def look(self, limits: Limits) -> Decision:
        """The current windows, for a request that is refused for another reason and not counted."""
        return await self._decide(limits, Slot(limits.organization_id, ""), is_counted=False)

    async def is_shared(self) -> bool:
        """Whether requests are decided in Redis now, for all processes together: by a request of nobody."""
        probe = _admission(_NOBODY, Slot(_NOBODY.organization_id, "probe"), is_counted=True)
        return await self._ask_redis(probe, at_once=True) is not None

    def take(self, organization_id: str) -> Slot:
        """A slot for what was admitted before, whatever else runs. It must be passed to `release` when that ends.

        The next renewal shows it to the other processes.
        """
        slot = Slot(organization_id, secrets.token_hex(8))
        self._live.setdefault(organization_id, set()).add(slot.request)
        return slot

    async def release(self, slot: Slot) -> None:
        """Release the slot. It is idempotent."""
        live = self._live.get(slot.organization_id, set())
        if slot.request not in live:
            return
        live.discard(slot.request)
        if not live:
            self._live.pop(slot.organization_id, None)
        # A renewal that is under way could add the slot again after it was removed.
        async with self._renewing:
            pass
        await self._ask_redis(Command(("ZREM", _slots(slot.organization_id), slot.request)))

    async def fail(self, address: str, limit: int) -> tuple[bool, Window]:
        """Count a failed attempt of an address to show a key. Returns whether it was allowed, and the window."""
        response = await self._ask_redis(_FAIL.call([redis_key("failures", address)], [secrets.token_hex(8), limit]))
        if response is None:
            is_within, window = self._local.fail(address, limit)
        else:
            used, now, oldest = int(response[0]), int(response[1]), int(float(response[2]))
            is_within, window = used < limit, _window(limit, min(limit, used + 1), oldest, now, MINUTE_SECONDS)
        if not is_within:
            _FAILED_ATTEMPTS[response is not None].inc()
        return is_within, window

    async def renew(self) -> None:
        """Renew the leases of all requests that run in this process, with one round trip."""
        async with self._renewing:
            live = {organization_id: sorted(requests) for organization_id, requests in self._live.items()}
            if not live:
                return
            arguments: list[str | int] = [LEASE_SECONDS * _MICROSECONDS]
            for requests in live.values():
                arguments += [len(requests), *requests]
            await self._ask_redis(_RENEW.call([_slots(name) for name in live], arguments))

    async def renew_for_ever(self) -> None:
        """Renew every five seconds until cancelled, also after a renewal that failed."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self.renew()
            except Exception:  # a failed renewal must not stop the next one
                logger.exception("slot_leases_not_renewed")

    async def _decide(self, limits: Limits, slot: Slot, *, is_counted: bool) -> Decision:
        response = await self._ask_redis(_admission(limits, slot, is_counted=is_counted))
        if response is not None:
            decision = _decision(limits, response)
        else:
            live_slots = len(self._live.get(limits.organization_id, ()))
            decision = self._local.decide(limits, live_slots, is_counted=is_counted)
        if is_counted:
            _DECISIONS[decision.refusal, response is not None].inc()
        return decision

    async def _ask_redis(self, command: Command, *, at_once: bool = False) -> Any:
        """Redis's response, or None while Redis is away. `at_once` asks although it was away a moment ago."""
        if self._away_until and not at_once and time.monotonic() < self._away_until:
            return None
        if self._away_until:
            # While this command finds out whether Redis is back, the others are decided within the process.
            self._away_until = time.monotonic() + _AWAY_PAUSE_SECONDS
        try:
            response = await self._round_trips.ask(command)
        except (RedisError, OSError) as error:
            REDIS_AWAY.inc()
            if not self._away_until:
                logger.error("redis_away", extra={"reason": explain(error, self._redis)})
            self._away_until = time.monotonic() + _AWAY_PAUSE_SECONDS
            return None
        if self._away_until:
            logger.info("redis_back")
            # What was counted within the process is kept. Otherwise each of many short outages would begin new windows.
            self._away_until = 0.0
        return response

    async def close(self) -> None:
        """Give the connection to Redis back."""
        await self._round_trips.close()

    async def uncount(self, limits: Limits, slot: Slot) -> Decision:
        """Remove an admitted request from the windows; it keeps its slot. Returns the windows without it."""
        organization, key = limits.organization_id, limits.key_id
        keys = [_minute(organization), _minute(key), _hour(key)]
        if await self._ask_redis(_UNCOUNT.call(keys, [slot.request])) is None:
            self._local.uncount(limits)
        return await self.look(limits)


@asynccontextmanager
async def open_rate_limiter(redis: Redis) -> AsyncIterator[RateLimiter]:
    """The limiter of a process. While the block runs, its leases are renewed."""
    limiter = RateLimiter(redis)
    renewing = asyncio.create_task(limiter.renew_for_ever())
    try:
        yield limiter
    finally:
        renewing.cancel()
        await limiter.close()


def _admission(limits: Limits, slot: Slot, *, is_counted: bool) -> Command:
    organization, key = limits.organization_id, limits.key_id
    return _ADMIT.call(
        [_minute(organization), _slots(organization), _minute(key), _hour(key)],
        [
            slot.request,
            limits.per_minute,
            limits.concurrent,
            limits.key_per_minute or 0,
            limits.key_per_hour or 0,
            LEASE_SECONDS * _MICROSECONDS,
            int(is_counted),
        ],
    )


def _slots(organization_id: str) -> str:
    return redis_key("slots", organization_id)


def _minute(counted_id: str) -> str:
    return redis_key("minute", counted_id)


def _hour(key_id: str) -> str:
    return redis_key("hour", key_id)


def _decision(limits: Limits, response: list[Any]) -> Decision:
    refusal = response[0].decode()
    wait, now, used, oldest, key_used, key_oldest, hour_used, first_minute = (int(value) for value in response[1:])
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
