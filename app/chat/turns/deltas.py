import asyncio
from collections.abc import Sequence
from typing import Final

from app.agents.runtime.events import Delta
from app.core.news import News

# How far the model may run ahead of a client that reads slowly. What has come at once is taken as a whole.
_MOST_WAITING: Final = 256


class Deltas:
    """The deltas of a turn on their way to one reader. The turn waits for a slow reader, but not for one that left."""

    def __init__(self) -> None:
        self._waiting: list[Delta] = []
        self._is_over = False
        self._is_read = True
        # There is a delta, or the turn has ended.
        self._news = News()
        self._has_room = asyncio.Event()

    async def wait_for_first(self, seconds: float) -> None:
        """Wait until there is a delta, the turn ends, or the time is up."""
        await self._news.wait(seconds)

    async def put(self, deltas: Sequence[Delta]) -> None:
        """Add deltas that have come at once. Returns once there is room for more."""
        if self._is_read:
            self._waiting += deltas
            self._news.announce()
        while self._is_read and len(self._waiting) >= _MOST_WAITING:
            self._has_room.clear()
            await self._has_room.wait()

    def end(self) -> None:
        """Tell the reader that there will be no more deltas."""
        self._is_over = True
        self._news.announce()

    async def next_ones(self, seconds: float) -> tuple[list[Delta], bool]:
        """The deltas that are there, once there is one, the turn has ended, or the time is up; whether it has ended."""
        await self._news.wait(seconds)
        found, self._waiting = self._waiting, []
        self._has_room.set()
        if not self._is_over:
            self._news.forget()
        return found, self._is_over

    def drop(self) -> None:
        """Drop all further deltas, because the reader has left."""
        self._is_read = False
        # The turn may be waiting for room at the moment. After this it never waits.
        self._has_room.set()
