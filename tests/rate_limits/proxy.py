"""A proxy between a program and its server: it counts the round trips and can hold back a request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

_CHUNK_BYTES = 64 * 1024


@dataclass
class _Connection:
    """One client's connection. A request after a response begins a round trip."""

    round_trips: int = 0
    is_asking: bool = False
    is_listening: bool = False

    def note_request(self, data: bytes) -> None:
        # A connection that listens for notifications works for no HTTP request.
        self.is_listening = self.is_listening or b"LISTEN" in data
        self.round_trips += not self.is_asking
        self.is_asking = True


class Proxy:
    """Passes bytes between clients and the server of a URL."""

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self._host, self._port = parts.hostname, parts.port
        self._connections: list[_Connection] = []
        self._is_next_held = False
        self._is_held = asyncio.Event()
        self._may_pass = asyncio.Event()

    @property
    def round_trips(self) -> int:
        """The number of round trips so far, except those of listeners."""
        return sum(one.round_trips for one in self._connections if not one.is_listening)

    def hold_next(self) -> None:
        """Hold back only the next request."""
        self._is_next_held = True
        self._is_held.clear()
        self._may_pass.clear()

    async def wait_until_held(self) -> None:
        """Wait until a request is held back."""
        await self._is_held.wait()

    def let_pass(self) -> None:
        """Pass on what is held back."""
        self._may_pass.set()

    async def serve(self, requests: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Pass bytes between one client and the server until either closes the connection."""
        connection = _Connection()
        self._connections.append(connection)
        responses, server = await asyncio.open_connection(self._host, self._port)
        passing = [
            asyncio.create_task(self._pass_requests(connection, requests, server)),
            asyncio.create_task(_pass_responses(connection, responses, client)),
        ]
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in passing:
                task.cancel()
            await asyncio.gather(*passing, return_exceptions=True)
            server.close()
            client.close()

    async def _pass_requests(
        self, connection: _Connection, requests: asyncio.StreamReader, server: asyncio.StreamWriter
    ) -> None:
        while data := await requests.read(_CHUNK_BYTES):
            connection.note_request(data)
            if self._is_next_held:
                self._is_next_held = False
                self._is_held.set()
                await self._may_pass.wait()
            server.write(data)


async def _pass_responses(
    connection: _Connection, responses: asyncio.StreamReader, client: asyncio.StreamWriter
) -> None:
    while data := await responses.read(_CHUNK_BYTES):
        connection.is_asking = False
        client.write(data)


@asynccontextmanager
async def proxy_to(server_url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Run a proxy during the block; yields it and the server's URL with the proxy's address."""
    proxy = Proxy(server_url)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    parts = urlsplit(server_url)
    credentials, at, _ = parts.netloc.rpartition("@")
    try:
        yield proxy, parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}").geturl()
    finally:
        listener.close()
