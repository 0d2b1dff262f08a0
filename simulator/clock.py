import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """The simulator's time: the machine's, plus what a test has skipped.

    Everything that happens by itself (runs, webhooks, expiry) is a function of this time, so half an hour of
    a model's cold start can be skipped instead of waited for.
    """

    def __init__(self) -> None:
        self._skipped = 0.0
        self._change = asyncio.Event()

    def now(self) -> float:
        """Seconds since the epoch, to the microsecond that timestamps show."""
        return round(time.time() + self._skipped, 6)

    def skip(self, seconds: float) -> None:
        """Let this many seconds pass at once."""
        self._skipped += seconds
        self.wake()

    def reset(self) -> None:
        """Return to the machine's time."""
        self._skipped = 0.0
        self.wake()

    def wake(self) -> None:
        """Wake everything that waits for a moment, because the moment may have come closer."""
        self._change.set()

    async def sleep_until(self, moment: float | None) -> None:
        """Sleep until a moment (seconds since the epoch; None: without end) or until woken, whichever is first."""
        self._change.clear()
        try:
            async with asyncio.timeout(None if moment is None else max(0.0, moment - self.now())):
                await self._change.wait()
        except TimeoutError:
            return


def timestamp(moment: float) -> str:
    """Write seconds since the epoch as Replicate does: ``2026-11-02T10:00:00.123456Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_timestamp(text: str) -> float:
    """Read an ISO 8601 moment, as UTC if it names no zone, as seconds since the epoch.

    Raises:
        ValueError: The text is not one.
    """
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
