import asyncio
from contextlib import suppress
from typing import Final

from app.agents.runtime.events import Delta

# How far the model may run ahead of a client that reads slowly.
_MOST_WAITING: Final = 256


class Deltas:
    """The deltas of a turn on their way to one reader. The turn waits for a slow reader, but not for one that left."""

    def __init__(self) -> None:
        self._waiting: list[Delta] = []
        self._is_over = False
        self._is_read = True
        self._begun = asyncio.Event()
        # There is a delta, or the turn has ended.
        self._is_there = asyncio.Event()
        self._has_room = asyncio.Event()

    @property
    def have_begun(self) -> bool:
        """Whether there was a delta, or the turn has ended."""
        return self._begun.is_set()

    async def wait_for_first(self, seconds: float) -> None:
        """Wait until there is a delta, the turn ends, or the time is up."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._begun.wait(), seconds)

    async def put(self, delta: Delta) -> None:
        """Add a delta, once there is room for it."""
        self._begun.set()
        while self._is_read and len(self._waiting) >= _MOST_WAITING:
            self._has_room.clear()
            await self._has_room.wait()
        if self._is_read:
            self._waiting.append(delta)
            self._is_there.set()

    def end(self) -> None:
        """Tell the reader that there will be no more deltas."""
        self._is_over = True
        self._begun.set()
        self._is_there.set()

    async def next_ones(self) -> tuple[list[Delta], bool]:
        """The deltas that are there, once there is one or the turn has ended; and whether it has ended."""
        await self._is_there.wait()
        found, self._waiting = self._waiting, []
        self._has_room.set()
        if not self._is_over:
            self._is_there.clear()
        return found, self._is_over

    def drop(self) -> None:
        """Drop all further deltas, because the reader has left."""
        self._is_read = False
        # The turn may be waiting for room at the moment. After this it never waits.
        self._has_room.set()
