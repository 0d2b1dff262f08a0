"""What requests are counted against, and what follows from the counts: values and pure functions."""

from dataclasses import dataclass, replace
from enum import StrEnum

from app.api_keys.caller import Caller

MINUTE_SECONDS = 60
HOUR_SECONDS = 3600


class Refusal(StrEnum):
    """Why a request is not admitted."""

    MINUTE = "minute"
    HOUR = "hour"
    CONCURRENCY = "concurrency"


@dataclass(frozen=True)
class Limits:
    """The limits of one request. The key's own limits are None if it has none."""

    organization_id: str
    key_id: str
    per_minute: int
    concurrent: int
    key_per_minute: int | None
    key_per_hour: int | None

    @classmethod
    def of(cls, caller: Caller) -> "Limits":
        """The limits of the caller's plan and of its key."""
        return cls(
            organization_id=caller.organization_id,
            key_id=caller.key_id,
            per_minute=caller.requests_per_minute,
            concurrent=caller.concurrent_requests,
            key_per_minute=caller.key_requests_per_minute,
            key_per_hour=caller.key_requests_per_hour,
        )

    def per_run(self, times: int) -> "Limits":
        """The same, with so many times as many requests at once."""
        return self if times == 1 else replace(self, concurrent=self.concurrent * times)

    @classmethod
    def of_organization(cls, organization_id: str, *, per_minute: int, concurrent: int) -> "Limits":
        """The limits of the organization's plan alone, for a request that is sent without a key."""
        # No request counts for this key: it has no limits of its own.
        return cls(organization_id, f"none:{organization_id}", per_minute, concurrent, None, None)


@dataclass(frozen=True)
class Window:
    """One window after the decision.

    Attributes:
        limit: how many requests it allows.
        used: how many it counts.
        reset_at: the epoch second in which its oldest request leaves it.
        wait_seconds: how long that is from now.
    """

    limit: int
    used: int
    reset_at: int
    wait_seconds: float

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)


@dataclass(frozen=True)
class Decision:
    """Whether a request is admitted, and the current windows."""

    refusal: Refusal | None
    wait_seconds: float
    organization: Window
    key_minute: Window | None = None
    key_hour: Window | None = None

    def headers(self) -> dict[str, str]:
        """The rate limit headers of the response."""
        headers = _headers(self.organization, "")
        if self.key_minute:
            headers |= _headers(self.key_minute, "-Minute")
        if self.key_hour:
            headers |= _headers(self.key_hour, "-Hour")
        return headers


def _headers(window: Window, suffix: str) -> dict[str, str]:
    return {
        f"X-RateLimit-Limit{suffix}": str(window.limit),
        f"X-RateLimit-Remaining{suffix}": str(window.remaining),
        f"X-RateLimit-Reset{suffix}": str(window.reset_at),
    }
