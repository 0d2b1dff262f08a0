"""A receiver of webhooks that answers whatever a test wants, byte by byte."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from app.core.concurrency import cancel_all
from tests.waiting import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Answer: TypeAlias = Callable[["Received", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Receiver:
    """What has come so far, and how each next request is answered. `open` are those that are not answered yet."""

    port: int = 0
    got: list[Received] = field(default_factory=list)
    answer: bytes | Answer = OK
    open: int = 0
    most_open: int = 0
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def until_got(self, count: int) -> list[Received]:
        """All requests, once there are so many."""

        async def enough() -> bool:
            return len(self.got) >= count

        await until(enough)
        return self.got

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection with one request. It ends quietly when the receiver does."""
        task = asyncio.create_task(self._respond(reader, writer))
        self.tasks.add(task)
        await asyncio.wait([task])
        self.tasks.discard(task)

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            request = await _read(reader)
            self.got.append(request)
            answer = self.answer
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(request, writer)
        self.open -= 1
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on this machine."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1")
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await cancel_all(receiver.tasks)


def status(code: int, *headers: str) -> bytes:
    """A response without a body."""
    lines = [f"HTTP/1.1 {code} Said", "Content-Length: 0", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    path = head[0].split(" ")[1]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return Received(path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))
