"""What a test takes of a stream."""

import asyncio
from collections.abc import Sequence

from app.chat_models.protocol import Chunk, JsonObject


def written(chunk: Chunk) -> JsonObject:
    """The chunk, written out if it is only a text."""
    return {"choices": [{"delta": {"content": chunk}, "finish_reason": None}]} if isinstance(chunk, str) else chunk


class Taken:
    """The chunks that were taken so far, written out."""

    def __init__(self) -> None:
        self.chunks: list[JsonObject] = []
        self._more = asyncio.Event()

    async def take(self, chunks: Sequence[Chunk]) -> None:
        """Take more of them."""
        self.chunks += map(written, chunks)
        self._more.set()

    async def until(self, count: int) -> list[JsonObject]:
        """The chunks, once there are so many."""
        while len(self.chunks) < count:
            self._more.clear()
            await self._more.wait()
        return self.chunks
