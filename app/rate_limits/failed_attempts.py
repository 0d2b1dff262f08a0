from collections.abc import Sequence
from dataclasses import dataclass

from app.core.source_address import Network
from app.rate_limits.address import client_address
from app.rate_limits.decisions import Decision, Refusal
from app.rate_limits.limiter import RateLimiter


@dataclass(frozen=True)
class FailedAttempts:
    """Counts the attempts to use the API without a valid key, so that keys cannot be guessed.

    Attributes:
        limiter: where they are counted.
        per_minute: how many an address may make in a minute.
        trusted_proxies: the operator's proxies, whose `X-Forwarded-For` is believed.
    """

    limiter: RateLimiter
    per_minute: int
    trusted_proxies: Sequence[Network]

    async def count(self, peer: str | None, forwarded_for: Sequence[str]) -> Decision:
        """Count one attempt of the address that a request comes from; see `client_address`."""
        address = client_address(peer, forwarded_for, self.trusted_proxies)
        is_within, window = await self.limiter.fail(address, self.per_minute)
        return Decision(None if is_within else Refusal.MINUTE, window.wait_seconds, window)
