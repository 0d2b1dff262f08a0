"""A chat model with a very long answer, which it sends as fast as it is read."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tests.chat_models.raw_server import LAST_CHUNK, SSE_HEAD, Connection, chunk, raw_server
from tests.waiting import PATIENCE

# Far more than fits into all the socket buffers on the way, which are kept small.
DELTAS: Final = 3000
SMALL_BUFFER: Final = 65_536
DELTA: Final = "flood" * 2000
USAGE: Final = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
_STILL_SECONDS: Final = 0.5


@dataclass
class Flood:
    """The model's URL, and how many deltas of its last answer it has sent."""

    url: str = ""
    sent: int = 0

    async def answer(self, connection: Connection, _: bytes) -> None:
        """Send the long answer to any request."""
        self.sent = 0
        connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        await connection.send(SSE_HEAD)
        for _number in range(DELTAS):
            await connection.send(_choice({"content": DELTA}))
            self.sent += 1
        usage = _event({"choices": [], "usage": USAGE})
        await connection.send(_choice({}, "stop") + usage + chunk(b"data: [DONE]\n\n") + LAST_CHUNK)

    async def until_still(self) -> int:
        """Wait until the model cannot send any more for now. Returns how many deltas it has sent."""
        async with asyncio.timeout(PATIENCE):
            before = 0
            while not before or self.sent > before:
                before = self.sent
                await asyncio.sleep(_STILL_SECONDS)
        return self.sent

    async def until_sent(self) -> None:
        """Wait until the model has sent all deltas."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if self.sent == DELTAS:
                    return
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running_flood() -> AsyncIterator[Flood]:
    """Runs such a model during the block."""
    model = Flood()
    async with raw_server(model.answer) as server:
        model.url = server.url
        yield model


def _choice(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    return _event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})


def _event(body: dict[str, Any]) -> bytes:
    return chunk(b"data: " + orjson.dumps({"id": "chatcmpl-1", **body}) + b"\n\n")
