import asyncio
from contextlib import suppress
from typing import Final

from app.agents.runtime.events import Delta

# How far the model may run ahead of a client that reads slowly.
_MOST_WAITING: Final = 256


class Deltas:
    """The deltas of a turn on their way to one reader. The turn waits for a slow reader, but not for one that left."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Delta | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_MOST_WAITING)
        self._begun = asyncio.Event()
        self._is_read = True

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
        if self._is_read:
            await self._room.acquire()
            self._queue.put_nowait(delta)

    def end(self) -> None:
        """Tell the reader that there will be no more deltas."""
        self._begun.set()
        self._queue.put_nowait(None)

    async def next(self) -> Delta | None:
        """The next delta; None once the turn has ended, with or without an answer."""
        delta = await self._queue.get()
        self._room.release()
        return delta

    async def next_ones(self) -> tuple[list[Delta], bool]:
        """The deltas that are there, once there is one or the turn has ended; and whether it has ended."""
        delta, found = await self.next(), []
        while delta is not None:
            found.append(delta)
            if self._queue.empty():
                return found, False
            delta = self._queue.get_nowait()
            self._room.release()
        return found, True

    def drop(self) -> None:
        """Drop all further deltas, because the reader has left."""
        self._is_read = False
        # The turn may be waiting for room at the moment. After this it never waits.
        self._room.release()
