"""What a test takes of a stream."""

import asyncio
from collections.abc import Sequence

from app.chat_models.protocol import JsonObject


class Taken:
    """The chunks that were taken so far."""

    def __init__(self) -> None:
        self.chunks: list[JsonObject] = []
        self._more = asyncio.Event()

    async def take(self, chunks: Sequence[JsonObject]) -> None:
        """Take more of them."""
        self.chunks += chunks
        self._more.set()

    async def until(self, count: int) -> list[JsonObject]:
        """The chunks, once there are so many."""
        while len(self.chunks) < count:
            self._more.clear()
            await self._more.wait()
        return self.chunks
