import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from app.generations.due import Work

# What was found for one loop is good for the others that come round in the same moment.
_FRESH_SECONDS = 0.5


class Look:
    """Lets the loops that repair something run only if there is something: one look at Postgres is for all of them."""

    def __init__(self, find: Callable[[], Awaitable[set[Work]]]) -> None:
        self._find = find
        self._found: set[Work] = set()
        self._fresh_until = 0.0
        self._looking = asyncio.Lock()

    def unless_idle(self, work: Work, step: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        """The step, for a loop: it is done only if there is work of its kind."""

        async def run() -> None:
            if work in await self._recent():
                await step()

        return run

    async def _recent(self) -> set[Work]:
        async with self._looking:
            if monotonic() >= self._fresh_until:
                self._found = await self._find()
                self._fresh_until = monotonic() + _FRESH_SECONDS
            return self._found
