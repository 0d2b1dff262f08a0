"""The floor: the duties of a turn as cheap as they can be made in Python, at the price of a few milliseconds.

`python -m bench.turn_cost.floor PORT`. No framework, no checks beyond JSON; turns that begin or end within five
milliseconds share a statement and a command.
"""

import asyncio
import sys
import time
from typing import Any

import orjson

from bench.turn_cost.bare_proxy import Receive, Scope, Send, read_body, run
from bench.turn_cost.floor_store import Store, open_store
from bench.turn_cost.floor_upstream import Upstream
from bench.turn_cost.twin import KEY
from bench.turn_cost.upstream import CHAT_MODEL

_AUTHORIZATION = (b"authorization", f"Bearer {KEY}".encode())
_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream")
_DONE = b"data: [DONE]"


class Floor:
    """The server as an ASGI application."""

    def __init__(self) -> None:
        self._upstream = Upstream()
        self._opening: asyncio.Task[Store] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._opening is None:
            self._opening = asyncio.create_task(open_store())
        store = await self._opening
        if _AUTHORIZATION not in scope["headers"]:
            await _respond(send, 401, b"{}")
            return
        request = orjson.loads(await read_body(receive))
        turn = await store.begin(request["messages"][-1])
        request["model"] = CHAT_MODEL
        if request.get("stream"):
            request["stream_options"] = {"include_usage": True}
            await self._stream(store, turn, orjson.dumps(request), send)
        else:
            await self._complete(store, turn, orjson.dumps(request), send)

    async def _complete(self, store: Store, turn: str, body: bytes, send: Send) -> None:
        pieces: list[bytes] = []
        await self._upstream.post(body, pieces.append)
        answer = orjson.loads(b"".join(pieces))
        text = answer["choices"][0]["message"]["content"]
        await store.end(turn, text, answer["usage"])
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        completion = {"object": "chat.completion", "created": int(time.time()), "choices": [choice]}
        await _respond(send, 200, orjson.dumps({**completion, "usage": answer["usage"], **_identity(turn)}))

    async def _stream(self, store: Store, turn: str, body: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [_EVENTS]})
        events = _Events(turn)
        ended = asyncio.ensure_future(self._upstream.post(body, events.feed))
        ended.add_done_callback(lambda _: events.has_more.set())
        while not ended.done() or events.written:
            await events.has_more.wait()
            events.has_more.clear()
            data, events.written = b"".join(events.written), []
            if data:
                await send({"type": "http.response.body", "body": data, "more_body": True})
        ended.result()
        await store.end(turn, "".join(events.texts), events.usage)
        await send({"type": "http.response.body", "body": b"%b\n\n" % _DONE})


class _Events:
    """The events of a stream: read, and written again with the turn's identity."""

    def __init__(self, turn: str) -> None:
        self._identity = _identity(turn)
        self._rest = b""
        self.texts: list[str] = []
        self.usage: dict[str, int] = {}
        self.written: list[bytes] = []
        self.has_more = asyncio.Event()

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            if event != _DONE:
                self._take(orjson.loads(event[6:]))
        self.has_more.set()

    def _take(self, value: dict[str, Any]) -> None:
        if not value["choices"]:
            self.usage = value["usage"]
            return
        if text := value["choices"][0]["delta"].get("content"):
            self.texts.append(text)
        value.update(self._identity)
        self.written.append(b"data: %b\n\n" % orjson.dumps(value))


def _identity(turn: str) -> dict[str, str]:
    return {"id": f"cmpl-{turn}", "model": "junis-orchestrator", "session_id": f"s{turn}"}


async def _respond(send: Send, status: int, content: bytes) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


if __name__ == "__main__":
    run(Floor(), int(sys.argv[1]))
