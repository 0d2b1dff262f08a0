"""What one task waits for over and over, each time for a limited time."""

import asyncio
from typing import Final

# Timers may ring so much too early, in seconds.
_TICK: Final = 0.001


class News:
    """Something that one task waits for, as for an event in a timeout, but at a fraction of what these cost.

    One timer serves many waits. It is not moved when a wait begins: when it rings, it looks whether it is time.
    """

    def __init__(self) -> None:
        self._are_there = False
        self._waiter: asyncio.Future[None] | None = None
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def announce(self) -> None:
        """There are news, until they are forgotten."""
        self._are_there = True
        self._wake()

    def forget(self) -> None:
        """Wait for the next news from now on."""
        self._are_there = False

    async def wait(self, seconds: float) -> None:
        """Wait until there are news, or for so many seconds."""
        if self._are_there or seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        self._until = loop.time() + seconds
        if self._timer is None or self._timer.when() > self._until:
            self._set_timer()
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._until, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if asyncio.get_running_loop().time() + _TICK < self._until:
            self._set_timer()
        else:
            self._wake()
