"""A server that sends exactly the bytes that a test gives it, including those that no HTTP server would send."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Responder = Callable[["Connection", bytes], Awaitable[None]]

SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


@dataclass
class Connection:
    """One connection of a client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


@dataclass
class RawServer:
    """What the server received: the connections in order, and each request's head and body."""

    url: str
    connections: list[Connection] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)


def chunk(data: bytes) -> bytes:
    """Data in HTTP's chunked framing."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def response(body: bytes, *, status: str = "200 OK", headers: bytes = b"") -> bytes:
    """A whole response, after which the connection stays open."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status.encode(), len(body), headers, body)


def always(*pieces: bytes, is_closed: bool = False) -> Responder:
    """Send the same pieces in response to every request, then close the connection if `is_closed`."""

    async def respond(connection: Connection, request: bytes) -> None:
        for data in pieces:
            await connection.send(data)
        if is_closed:
            connection.writer.close()

    return respond


@asynccontextmanager
async def raw_server(respond: Responder) -> AsyncIterator[RawServer]:
    """Call `respond` with every request; close the connection if it raises an error or the client disconnects."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        server.connections.append(connection)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                request = await _read_request(reader)
                server.requests.append(request)
                await respond(connection, request)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    server = RawServer(f"http://127.0.0.1:{port}")
    try:
        yield server
    finally:
        for connection in server.connections:
            connection.writer.close()
        listener.close()
        await listener.wait_closed()


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = [line.partition(b":") for line in head.split(b"\r\n")]
    lengths = [value for name, _, value in lines if name.lower() == b"content-length"]
    return head + await reader.readexactly(int(lengths[0]) if lengths else 0)
