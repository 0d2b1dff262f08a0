"""A host apart from the simulator, which answers each request as the test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from devstack.ports import free_port

Answer = Callable[[str], Awaitable[bytes]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """Runs the host for as long as the block takes; its name and port.

    Args:
        answer: gives the body of the answer, which is always 200, to the path of a request.
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
