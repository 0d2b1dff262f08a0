import time
from collections import deque

from app.rate_limits.decisions import HOUR_SECONDS, MINUTE_SECONDS, Decision, Limits, Refusal, Window

# The least recently used one is dropped, because anybody can send requests from any number of addresses.
_MOST_NAMES = 100_000


class LocalWindows:
    """Decides requests within one process while Redis is away. Limits then apply per process."""

    def __init__(self) -> None:
        self._requests: dict[str, deque[float]] = {}

    def decide(self, limits: Limits, live_slots: int, *, is_counted: bool) -> Decision:
        """Decide one request, and count it if it is admitted and `is_counted`.

        `live_slots` is how many of the organization's requests run in this process now.
        """
        now = time.time()
        organization = self._recent(f"org:{limits.organization_id}", MINUTE_SECONDS, now)
        minute = self._recent(f"minute:{limits.key_id}", MINUTE_SECONDS, now) if limits.key_per_minute else None
        hour = self._recent(f"hour:{limits.key_id}", HOUR_SECONDS, now) if limits.key_per_hour else None
        refusal, wait = _refusal(limits, organization, minute, hour, live_slots, now)
        if refusal is None and is_counted:
            for window in (organization, minute, hour):
                if window is not None:
                    window.append(now)
        return Decision(
            refusal=refusal,
            wait_seconds=wait,
            organization=_window(limits.per_minute, organization, MINUTE_SECONDS, now),
            key_minute=_window(limits.key_per_minute, minute, MINUTE_SECONDS, now)
            if minute is not None and limits.key_per_minute
            else None,
            key_hour=_window(limits.key_per_hour, hour, HOUR_SECONDS, now)
            if hour is not None and limits.key_per_hour
            else None,
        )

    def fail(self, address: str, limit: int) -> tuple[bool, Window]:
        """Count one failed attempt of an address. Returns whether it was within the limit, and the window."""
        now = time.time()
        failures = self._recent(f"failures:{address}", MINUTE_SECONDS, now)
        is_within = len(failures) < limit
        if is_within:
            failures.append(now)
        return is_within, _window(limit, failures, MINUTE_SECONDS, now)

    def uncount(self, limits: Limits) -> None:
        """Remove the request that was counted last for an organization and its key."""
        for name in (f"org:{limits.organization_id}", f"minute:{limits.key_id}", f"hour:{limits.key_id}"):
            if requests := self._requests.get(name):
                requests.pop()

    def _recent(self, name: str, seconds: int, now: float) -> deque[float]:
        # Moved to the end, so that the first one is the least recently used.
        requests = self._requests[name] = self._requests.pop(name, deque())
        if len(self._requests) > _MOST_NAMES:
            del self._requests[next(iter(self._requests))]
        while requests and requests[0] <= now - seconds:
            requests.popleft()
        return requests


def _refusal(
    limits: Limits,
    organization: deque[float],
    minute: deque[float] | None,
    hour: deque[float] | None,
    live_slots: int,
    now: float,
) -> tuple[Refusal | None, float]:
    if len(organization) >= limits.per_minute:
        return Refusal.MINUTE, organization[0] + MINUTE_SECONDS - now
    if minute is not None and len(minute) >= (limits.key_per_minute or 0):
        return Refusal.MINUTE, minute[0] + MINUTE_SECONDS - now
    if hour is not None and len(hour) >= (limits.key_per_hour or 0):
        return Refusal.HOUR, hour[0] + HOUR_SECONDS - now
    if live_slots >= limits.concurrent:
        return Refusal.CONCURRENCY, 1
    return None, 0


def _window(limit: int, requests: deque[float], seconds: int, now: float) -> Window:
    leaves_at = (requests[0] if requests else now) + seconds
    return Window(limit, len(requests), int(leaves_at) + 1, leaves_at - now)
