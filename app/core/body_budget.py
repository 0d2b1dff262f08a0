"""How much of request bodies a process has in hand at once, so that its memory is bounded.

A body is in memory several times, as it arrived, parsed and as it is passed on, until its turn has ended. Small ones do
not count. Nobody gets more than what is left for others: alone, an owner may have half of the budget, with one other a
third, and so on. So there is always something left for whoever has nothing yet.
"""

import asyncio
from collections import Counter
from contextvars import ContextVar
from typing import Final

from app.core.errors import ServerBusyError

SMALL_BYTES: Final = 64 * 1024
PATIENCE_SECONDS: Final = 5.0
_RETRY_AFTER_SECONDS: Final = 5


class BodyBudget:
    """The bytes of bodies that a process may have in hand, and who has them."""

    def __init__(self, total: int, *, patience: float = PATIENCE_SECONDS) -> None:
        self._total = total
        self._patience = patience
        self._held: Counter[str] = Counter()
        self._was_given_back = asyncio.Event()

    @property
    def held(self) -> int:
        """The bytes that are in hand."""
        return self._held.total()

    async def take(self, owner: str, size: int) -> None:
        """Take so many bytes more, if necessary after a while.

        Raises:
            ServerBusyError: they are still not there after a few seconds.
        """
        try:
            async with asyncio.timeout(self._patience):
                while not self._fits(owner, size):
                    self._was_given_back.clear()
                    await self._was_given_back.wait()
        except TimeoutError:
            raise ServerBusyError(retry_after=_RETRY_AFTER_SECONDS) from None
        self._held[owner] += size

    def give_back(self, owner: str, size: int) -> None:
        """Give back so many bytes."""
        self._held[owner] -= size
        if self._held[owner] <= 0:
            del self._held[owner]
        self._was_given_back.set()

    def _fits(self, owner: str, size: int) -> bool:
        return self._held[owner] + size <= self._total - self.held


class HeldBody:
    """What one body takes of the budget, for as long as somebody keeps it."""

    def __init__(self, budget: BodyBudget, owner: str) -> None:
        self._budget = budget
        self._owner = owner
        self._size = 0
        self._keepers = 1

    async def resize(self, size: int) -> None:
        """Take as much as this size needs, and give the rest back.

        Raises:
            ServerBusyError: there is not so much.
        """
        size = size if size > SMALL_BYTES else 0
        if size > self._size:
            await self._budget.take(self._owner, size - self._size)
        elif size < self._size:
            self._budget.give_back(self._owner, self._size - size)
        self._size = size

    async def add(self, size: int) -> None:
        """Take so much more, for what the request makes others send.

        Raises:
            ServerBusyError: there is not so much.
        """
        await self.resize(self._size + size)

    def keep(self) -> None:
        """Keep it beyond the end of whoever keeps it now."""
        self._keepers += 1

    def let_go(self) -> None:
        """Give everything back if nobody else keeps it."""
        self._keepers -= 1
        if self._keepers == 0 and self._size > 0:
            self._budget.give_back(self._owner, self._size)
            self._size = 0


# The body of the current request. What goes on after its response keeps it.
held_body_var: ContextVar[HeldBody | None] = ContextVar("held_body", default=None)
