"""HTTP hosts whose responses a test chooses."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from devstack.ports import free_port

Answer = Callable[[str], Awaitable[bytes]]
Refusable = Callable[[str], tuple[int, bytes]]
Chunks = Callable[[str], AsyncIterable[bytes]]


class CutError(Exception):
    """Raised by a host's chunks to close the connection in the middle of the body."""


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """Runs the host during the block. Yields its name and port.

    Args:
        answer: returns the body of the response to the path of a request; the status is always 200.
    """

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            body = await answer(head.split()[1].decode())
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
        finally:
            writer.close()

    port = free_port()
    async with await asyncio.start_server(respond, "127.0.0.1", port):
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def refusing(answer: Refusable) -> AsyncIterator[str]:
    """As `answering`, with a status of the test's choice: `answer` returns it with the body."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            status, body = answer(head.split()[1].decode())
            writer.write(
                b"HTTP/1.1 %d Fine\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
            )
            await writer.drain()
        finally:
            writer.close()

    port = free_port()
    async with await asyncio.start_server(respond, "127.0.0.1", port):
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def streaming(chunks: Chunks) -> AsyncIterator[str]:
    """Runs a host that sends bodies chunk by chunk. Yields its name and port.

    Args:
        chunks: returns the chunks of the response to the path of a request.
    """

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
            async for chunk in chunks(head.split()[1].decode()):
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        except (CutError, ConnectionError):
            pass
        finally:
            writer.close()

    port = free_port()
    server = await asyncio.start_server(respond, "127.0.0.1", port)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.close()
