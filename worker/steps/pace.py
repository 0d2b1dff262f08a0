import asyncio
from datetime import timedelta
from time import monotonic

_QUIET_SECONDS = 1.0


class Pace:
    """How often running attempts are looked for: often while this worker knows of some, and otherwise once a second.

    Attributes:
        news: is set when the next round should begin at once.
    """

    def __init__(self, interval: timedelta) -> None:
        self.news = asyncio.Event()
        self._busy_seconds = min(_QUIET_SECONDS, interval.total_seconds() / 2)
        self._busy_until = 0.0

    def expect(self, within: timedelta) -> None:
        """Note that an attempt runs, and is due to be polled within this time."""
        if not self._is_busy():
            # The loop may just have begun a long pause.
            self.news.set()
        self._busy_until = max(self._busy_until, monotonic() + within.total_seconds() + _QUIET_SECONDS)

    def pause(self) -> float:
        """Seconds until the next round."""
        return self._busy_seconds if self._is_busy() else _QUIET_SECONDS

    def _is_busy(self) -> bool:
        return monotonic() < self._busy_until
