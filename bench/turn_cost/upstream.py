"""A chat model server that is never what limits a measurement: every byte of its answers is made when it starts.

`python -m bench.turn_cost.upstream PORT`. It speaks as much of OpenAI's protocol as a turn needs:

- `POST …/chat/completions` answers with `USAGE`. A stream has `CHUNKS` pieces of text, each an event and an HTTP chunk
  of its own, all at once or, if the request has a `seed`, so many milliseconds apart. The model `TOOL_MODEL` calls the
  first tool that it is offered before it answers.
- `GET /stat` says how many calls it has had, and how many messages they had together.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from typing import Any, cast

import httptools
import orjson
import uvloop

CHAT_MODEL = "bench-chat"
TOOL_MODEL = "bench-tool"
CHUNKS = 100
USAGE = {"prompt_tokens": 42, "completion_tokens": CHUNKS, "total_tokens": 42 + CHUNKS}

_WORDS = (" the", " keeper", " of", " the", " lighthouse", " counts", " ships", " at", " night", ".")
_TEXT = "".join(_WORDS) * (CHUNKS // len(_WORDS))
_BACKLOG = 2048
_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"


def _response(value: object) -> bytes:
    content = orjson.dumps(value)
    return _JSON % (len(content), content)


def _completion(message: dict[str, Any], reason: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": None, "finish_reason": reason}
    return _response({**_head("chat.completion"), "choices": [choice], "usage": USAGE})


def _head(kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-of-the-bench",
        "object": kind,
        "created": 1_760_000_000,
        "model": "bench-model-2026-10-01",
        "service_tier": "default",
        "system_fingerprint": "fp_bench",
    }


def _event(delta: dict[str, Any] | None, *, reason: str | None = None) -> bytes:
    """One event in its HTTP chunk; without a delta that of the usage."""
    value = _head("chat.completion.chunk")
    if delta is None:
        value |= {"choices": [], "usage": USAGE}
    else:
        value["choices"] = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
    return _chunk(b"data: %b\n\n" % orjson.dumps(value))


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def _call_of(name: str) -> dict[str, Any]:
    """A call of a tool, with arguments that the product's own tool refuses: what it makes is not to be measured."""
    return {"id": "call_bench", "type": "function", "function": {"name": name, "arguments": '{"model": 1}'}}


_ANSWER = _completion({"content": _TEXT}, "stop")
_ROLE = _event({"role": "assistant", "content": ""})
_PIECES = [_event({"content": _WORDS[number % len(_WORDS)]}) for number in range(CHUNKS)]
_STOP = _event({}, reason="stop")
_USED = _event(None)
_DONE = _chunk(b"data: [DONE]\n\n") + _LAST_CHUNK


class _Counts:
    """How many calls of the chat model there have been, and how many messages all of them had together."""

    calls = 0
    messages = 0


class _Connection(asyncio.Protocol):
    """One connection of a client's; requests on it are answered one after the other."""

    def __init__(self, counts: _Counts, later: Callable[[float, Callable[[], None]], asyncio.TimerHandle]) -> None:
        self._counts = counts
        self._later = later
        self._transport: asyncio.WriteTransport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class does not derive from it
        self._parser = httptools.HttpRequestParser(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._path, self._body = b"", b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._path == b"/stat":
            self._write(_response({"calls": self._counts.calls, "messages": self._counts.messages}))
            return
        self._counts.calls += 1
        request = orjson.loads(self._body)
        self._counts.messages += len(request["messages"])
        tools = request.get("tools")
        if tools and request["model"] == TOOL_MODEL and request["messages"][-1]["role"] != "tool":
            self._call_tool(tools[0]["function"]["name"], is_streamed=bool(request.get("stream")))
        elif request.get("stream"):
            self._stream(request)
        else:
            self._write(_ANSWER)

    def _call_tool(self, name: str, *, is_streamed: bool) -> None:
        call = _call_of(name)
        if is_streamed:
            called = _event({"tool_calls": [{"index": 0, **call}]})
            self._write(b"".join((_STREAM, _ROLE, called, _event({}, reason="tool_calls"), _USED, _DONE)))
        else:
            self._write(_completion({"content": None, "tool_calls": [call]}, "tool_calls"))

    def _stream(self, request: dict[str, Any]) -> None:
        wants_usage = (request.get("stream_options") or {}).get("include_usage")
        end = b"".join((_STOP, _USED if wants_usage else b"", _DONE))
        pause = (request.get("seed") or 0) / 1000
        self._write(_STREAM + _ROLE)
        if pause:
            self._write_next(iter([*_PIECES, end]), pause)
            return
        for piece in _PIECES:
            self._write(piece)
        self._write(end)

    def _write_next(self, pieces: Iterator[bytes], pause: float) -> None:
        if (piece := next(pieces, None)) is not None:
            self._write(piece)
            self._timer = self._later(pause, lambda: self._write_next(pieces, pause))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    counts = _Counts()
    server = await loop.create_server(lambda: _Connection(counts, loop.call_later), "127.0.0.1", port, backlog=_BACKLOG)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
