import hashlib
import logging
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.metrics import BUDGET_WAITS, VENDOR_DENIALS
from app.core.redis_errors import explain
from app.core.redis_keys import redis_key

logger = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_MICROSECONDS = 1_000_000
_CIRCUIT_SECONDS = 30
# How many calls the vendor accepts at once, as a share of a minute's calls.
_BURST_SHARE = 0.05

_CREATES_PUT_OFF, _READS_PUT_OFF = BUDGET_WAITS.labels("create"), BUDGET_WAITS.labels("read")


@dataclass(frozen=True)
class Standing:
    """How much of the budget is left now.

    Attributes:
        creates: how many predictions may be created at once.
        burst: how many that can be at most.
        per_minute: how many a minute.
        blocked_for: until when none may, because the vendor has refused some; zero if that is not so.
        denial: why the vendor refuses the operator's account, and for how long nothing is started; None if it does not.
    """

    creates: int
    burst: int
    per_minute: int
    blocked_for: timedelta
    denial: tuple[str, timedelta] | None


class VendorBudget:
    """The rate limits and the circuit breaker of all processes that call the vendor with one token.

    It is stored in Redis. While Redis is away, every call is allowed: the vendor's own limit still applies, and a call
    that it refuses costs nothing.
    """

    def __init__(self, redis: Redis, token: str, *, creates_per_minute: int, reads_per_minute: int) -> None:
        # A hash identifies the account, so that the token itself is not stored.
        account = hashlib.sha256(token.encode()).hexdigest()[:16]
        self._redis = redis
        self._take = redis.register_script((_HERE / "take.lua").read_text())
        self._block_until = redis.register_script((_HERE / "block.lua").read_text())
        self._create_key = redis_key("vendor", account, "creates")
        self._read_key = redis_key("vendor", account, "reads")
        self._circuit_key = redis_key("vendor", account, "denied")
        self._creates_per_minute = creates_per_minute
        self._reads_per_minute = reads_per_minute

    async def wait_before_create(self) -> timedelta:
        """Take one create from the budget. Returns how long to wait instead; zero if it was taken."""
        wait = await self._wait(self._create_key, self._creates_per_minute)
        _CREATES_PUT_OFF.inc(bool(wait))
        return wait

    async def wait_before_read(self) -> timedelta:
        """Take one read from the budget. Returns how long to wait instead; zero if it was taken."""
        wait = await self._wait(self._read_key, self._reads_per_minute)
        _READS_PUT_OFF.inc(bool(wait))
        return wait

    async def throttled(self, wait_seconds: float) -> None:
        """The vendor refused a create with 429: no process makes another one before the wait is over."""
        await self._block(self._create_key, wait_seconds)

    async def throttled_reads(self, wait_seconds: float) -> None:
        """The vendor refused a read with 429: no process makes another one before the wait is over."""
        await self._block(self._read_key, wait_seconds)

    async def denied(self, reason: str) -> None:
        """The vendor refuses the operator's account: open the circuit for 30 seconds, in which nothing is started."""
        VENDOR_DENIALS.inc()
        logger.error("vendor_denied", extra={"reason": reason})
        try:
            await self._redis.set(self._circuit_key, reason, ex=_CIRCUIT_SECONDS)
        except (RedisError, OSError) as error:
            logger.warning("budget_away", extra={"reason": explain(error, self._redis)})

    async def denial(self) -> tuple[str, timedelta] | None:
        """Why the vendor refuses the account, and how long the circuit stays open; None if it is closed."""
        try:
            async with self._redis.pipeline() as pipe:
                pipe.get(self._circuit_key)
                pipe.pttl(self._circuit_key)
                reason, left = await pipe.execute()
        except (RedisError, OSError):
            return None
        return (reason.decode(), timedelta(milliseconds=max(0, left))) if reason else None

    async def standing(self) -> Standing:
        """What is left of the budget. Nothing is taken from it.

        Raises:
            RedisError, OSError: Redis is away.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hmget(self._create_key, ["tokens", "at", "blocked_until"])
            (seconds, part), (tokens, at, blocked_until) = await pipe.execute()
        now = seconds * _MICROSECONDS + part
        burst = self._burst(self._creates_per_minute)
        grown = (now - float(at or now)) * self._creates_per_minute / (60 * _MICROSECONDS)
        return Standing(
            creates=int(min(burst, float(tokens or burst) + grown)),
            burst=burst,
            per_minute=self._creates_per_minute,
            blocked_for=timedelta(microseconds=max(0.0, float(blocked_until or 0) - now)),
            denial=await self.denial(),
        )

    @staticmethod
    def _burst(per_minute: int) -> int:
        return max(1, int(per_minute * _BURST_SHARE))

    async def _block(self, key: str, wait_seconds: float) -> None:
        try:
            await self._block_until(keys=[key], args=[int(wait_seconds * _MICROSECONDS)])
        except (RedisError, OSError) as error:
            logger.warning("budget_away", extra={"reason": explain(error, self._redis)})

    async def _wait(self, key: str, per_minute: int) -> timedelta:
        burst = self._burst(per_minute)
        try:
            wait = await self._take(keys=[key], args=[per_minute, burst])
        except (RedisError, OSError):
            return timedelta(0)
        return timedelta(microseconds=int(wait))
