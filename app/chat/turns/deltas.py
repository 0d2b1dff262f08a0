import asyncio
from contextlib import suppress
from typing import Final

from app.agents.runtime.events import Delta

# How far the model may run ahead of a client that reads slowly.
_MOST_WAITING: Final = 256


class Deltas:
    """What a turn says, on its way to one reader: it waits for one that is slow, and for none that is gone."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Delta | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_MOST_WAITING)
        self._begun = asyncio.Event()
        self._is_read = True

    @property
    def have_begun(self) -> bool:
        """Whether anything was said, or the turn has ended."""
        return self._begun.is_set()

    async def wait_for_first(self, seconds: float) -> None:
        """Wait until something is said, the turn ends, or the time is up."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._begun.wait(), seconds)

    async def put(self, delta: Delta) -> None:
        """Say something, once there is room for it."""
        self._begun.set()
        if self._is_read:
            await self._room.acquire()
            self._queue.put_nowait(delta)

    def end(self) -> None:
        """Tell that nothing more will be said."""
        self._begun.set()
        self._queue.put_nowait(None)

    async def next(self) -> Delta | None:
        """What is said next; None once the turn has ended one way or another."""
        delta = await self._queue.get()
        self._room.release()
        return delta

    def drop(self) -> None:
        """Nobody reads any more: what is still said is dropped."""
        self._is_read = False
        # The turn may be waiting for room; from now on it never does.
        self._room.release()
