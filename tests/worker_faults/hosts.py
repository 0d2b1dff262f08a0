"""An HTTP host of its own, whose responses a test chooses."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from devstack.ports import free_port

Answer = Callable[[str], Awaitable[bytes]]


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
