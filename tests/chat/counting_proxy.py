import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

_PIECE = 65_536


@dataclass
class CountingProxy:
    """Counts the connections of a program to a server.

    Attributes:
        url: the server's URL, through the proxy.
        open: how many connections are open now.
        most_open: how many connections have been open at the same time, at most.
    """

    url: str
    open: int = 0
    most_open: int = 0


@asynccontextmanager
async def counting_proxy(url: str) -> AsyncIterator[CountingProxy]:
    """A proxy that forwards everything to the server of this URL, and counts its connections."""
    target = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.open += 1
        proxy.most_open = max(proxy.most_open, proxy.open)
        server_reader, server_writer = await asyncio.open_connection(target.hostname, target.port)
        replies = asyncio.create_task(_pass_on(server_reader, writer))
        try:
            while data := await reader.read(_PIECE):
                server_writer.write(data)
        except ConnectionError:
            pass
        finally:
            proxy.open -= 1
            replies.cancel()
            server_writer.close()
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    credentials, at, _ = target.netloc.rpartition("@")
    proxy = CountingProxy(urlunsplit(target._replace(netloc=f"{credentials}{at}127.0.0.1:{port}")))
    try:
        yield proxy
    finally:
        listener.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_PIECE):
        writer.write(data)
    writer.close()
