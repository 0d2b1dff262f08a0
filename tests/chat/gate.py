"""A chat model that begins every answer at once, and ends them only when the test opens the gate."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.chat_models.raw_server import LAST_CHUNK, SSE_HEAD, Connection, chunk, raw_server

BEGINNING, ENDING = "first", " and last"
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@dataclass
class Gate:
    """The model's URL, how many answers it has begun, and the event that lets them end."""

    url: str = ""
    begun: int = 0
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, connection: Connection, _: bytes) -> None:
        """Begin an answer to any request, and end it when the gate is open."""
        await connection.send(SSE_HEAD + _say({"role": "assistant", "content": BEGINNING}))
        self.begun += 1
        await self.is_open.wait()
        usage = _event({"choices": [], "usage": USAGE})
        done = chunk(b"data: [DONE]\n\n")
        await connection.send(_say({"content": ENDING}) + _say({}, "stop") + usage + done + LAST_CHUNK)


@asynccontextmanager
async def gate() -> AsyncIterator[Gate]:
    """Runs such a model during the block."""
    model = Gate()
    async with raw_server(model.answer) as server:
        model.url = server.url
        yield model


def _say(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    return _event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})


def _event(body: dict[str, Any]) -> bytes:
    return chunk(b"data: " + orjson.dumps({"id": "chatcmpl-1", **body}) + b"\n\n")
