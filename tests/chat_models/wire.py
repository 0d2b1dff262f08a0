"""Calls to a `raw_server`, and the bytes of its usual responses."""

import json
from typing import Any, cast

from app.chat_models.protocol import ChatModelClient, JsonObject, Upstream
from tests.chat_models.raw_server import RawServer
from tests.chat_models.taking import Taken, written

COMPLETION = b'{"choices":[{"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}'
HELLO = b'data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def upstream(server: RawServer, api_key: str = "sk-wire-0123456789") -> Upstream:
    return Upstream(base_url=f"{server.url}/v1", api_key=api_key)


async def complete(client: ChatModelClient, server: RawServer, *, timeout: float = 30, **body: Any) -> list[JsonObject]:
    return [*map(written, await client.complete(upstream(server), {"messages": [], **body}, timeout=timeout))]


async def stream(client: ChatModelClient, server: RawServer, *, timeout: float = 30, **body: Any) -> list[JsonObject]:
    taken = Taken()
    await client.stream(upstream(server), {"messages": [], **body}, taken.take, timeout=timeout)
    return taken.chunks


def sent_body(request: bytes) -> JsonObject:
    return cast("JsonObject", json.loads(request.partition(b"\r\n\r\n")[2]))
