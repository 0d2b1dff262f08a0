"""A network in which only a proxy knows the names of servers: all of them are on this machine."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_CHUNK_BYTES = 64 * 1024


@dataclass
class CorporateProxy:
    """A proxy for absolute URLs and for CONNECT, and what it was asked for.

    Attributes:
        url: where it is.
        credentials: the user and the password that it wants, with a colon between them.
        asked: the request lines, in order, up to the address that is asked for.
    """

    url: str
    credentials: str | None = None
    asked: list[str] = field(default_factory=list)

    async def respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.removesuffix("\r\n\r\n").split("\r\n")
            method, target, _ = lines[0].split(" ")
            self.asked.append(f"{method} {target}")
            if not self._is_known(lines):
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            elif method == "CONNECT":
                await _tunnel(reader, writer, int(target.rpartition(":")[2]), b"")
            else:
                url = urlsplit(target)
                path = url._replace(scheme="", netloc="").geturl() or "/"
                kept = [line for line in lines[1:] if not line.lower().startswith(("proxy-", "connection:"))]
                sent = "\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""])
                await _tunnel(reader, writer, url.port or 80, sent.encode("latin-1"))

    def _is_known(self, lines: list[str]) -> bool:
        if self.credentials is None:
            return True
        wanted = f"Proxy-Authorization: Basic {b64encode(self.credentials.encode()).decode()}"
        return wanted.lower() in (line.lower() for line in lines)


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, sent: bytes) -> None:
    responses, server = await asyncio.open_connection("127.0.0.1", port)
    if sent:
        server.write(sent)
    else:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await join(reader, writer, responses, server)


async def join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    responses: asyncio.StreamReader,
    server: asyncio.StreamWriter,
) -> None:
    """Pass bytes in both directions until one side closes its connection."""
    passing = [asyncio.create_task(_pass(reader, server)), asyncio.create_task(_pass(responses, writer))]
    try:
        await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_CHUNK_BYTES):
            target.write(data)
            await target.drain()


@asynccontextmanager
async def corporate_proxy(
    *, credentials: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[CorporateProxy]:
    """A running proxy, which is asked by TLS itself if it has a context."""
    proxy = CorporateProxy("", credentials)
    async with _serving(proxy.respond, tls) as port:
        proxy.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        yield proxy


@asynccontextmanager
async def tls_front(port: int, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """A server before the one at this port, which is asked by TLS; yields its port."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await join(reader, writer, *await asyncio.open_connection("127.0.0.1", port))

    async with _serving(respond, tls) as front:
        yield front


@asynccontextmanager
async def _serving(
    respond: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], tls: ssl.SSLContext | None
) -> AsyncIterator[int]:
    """Respond to each connection at a free port, which is yielded. At the end of the block all of them are closed."""
    connections: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        # What serves a connection is asked to end only below; nobody waits for a cancelled task of asyncio's.
        with suppress(asyncio.CancelledError):
            await respond(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in connections:
            if task is not None:
                task.cancel()
        await asyncio.gather(*[task for task in connections if task], return_exceptions=True)
