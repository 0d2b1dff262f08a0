"""Servers that behave as Postgres does while it stops, starts or is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

_SSL_REQUEST_BYTES = 8
_CHUNK = 65_536


@asynccontextmanager
async def unready_postgres(sqlstate: str) -> AsyncIterator[str]:
    """Run a Postgres that refuses every connection with this error code; yields its URL."""
    fields = (b"SFATAL", b"VFATAL", b"C" + sqlstate.encode(), b"Mnot now")
    body = b"".join(field + b"\0" for field in fields) + b"\0"
    refusal = b"E" + (len(body) + 4).to_bytes(4) + body

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(_SSL_REQUEST_BYTES)
        writer.write(b"N")
        await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)
        writer.write(refusal)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1") as server:
        yield f"postgresql://user:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/none"


@asynccontextmanager
async def slow_to_close(url: str) -> AsyncIterator[str]:
    """Run a proxy that passes on all that Postgres sends, but not that it closed the connection; yields its URL."""
    parts = urlsplit(url)
    passing: set[asyncio.Task[None]] = set()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        passing.update(asyncio.create_task(_pass(*pair)) for pair in ((reader, back), (there, writer)))

    async with await asyncio.start_server(connect, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        yield parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")).geturl()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        # One more turn of the event loop, so that the connections are released.
        await asyncio.sleep(0)


@asynccontextmanager
async def over_unix_socket(url: str) -> AsyncIterator[str]:
    """Run a proxy on a Unix socket; yields the URL of the same database over it."""
    parts = urlsplit(url)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    with TemporaryDirectory() as folder:
        async with await asyncio.start_unix_server(connect, f"{folder}/.s.PGSQL.{parts.port}"):
            credentials = parts.netloc.rpartition("@")[0]
            yield f"postgresql://{credentials}@:{parts.port}{parts.path}?host={folder}"


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                writer.write(chunk)
                await writer.drain()
        await asyncio.Event().wait()
    finally:
        writer.close()
