"""A proxy between a program and Postgres: it counts the program's statements, and can hold one of them back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_CHUNK_BYTES = 256 * 1024
# Of the messages that a client sends, those that run something: Query and Execute.
_RUNNING = {b"Q", b"E"}
_LISTENER = b"junis-listener"


def has_statement(messages: bytes) -> bool:
    """Whether one of these messages runs a statement. They are what a client has sent at once."""
    position = 0
    while position + 5 <= len(messages):
        if messages[position : position + 1] in _RUNNING:
            return True
        position += 1 + int.from_bytes(messages[position + 1 : position + 5])
    return False


class PostgresProxy:
    """Passes bytes between clients and Postgres. `statements` is how many it has been sent, BEGIN and COMMIT too.

    Those of the connection that listens for notifications are not counted: they belong to no request.
    """

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._host, self._port = parts.hostname, parts.port
        self.statements = 0
        self._held_number = 0
        self._held_text = b""
        self._is_held = asyncio.Event()
        self._may_pass = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    def hold(self, number: int) -> None:
        """Hold back the statement of this number, counted from now on. The first has the number 1."""
        self._held_number = self.statements + number
        self._is_held.clear()
        self._may_pass.clear()

    def hold_text(self, text: bytes) -> None:
        """Hold back the next message with this text in it, such as the beginning of a statement."""
        self._held_text = text

    async def wait_until_held(self) -> None:
        """Wait until the statement has been sent and is held back."""
        await self._is_held.wait()

    def let_pass(self) -> None:
        """Pass on the statement that is held back, and hold no other one."""
        self._held_number = 0
        self._held_text = b""
        self._may_pass.set()

    async def bury(self, *, is_sent: bool) -> None:
        """End the connections of clients that were killed. With `is_sent` what is held back still reaches Postgres."""
        if is_sent:
            self.let_pass()
            await asyncio.gather(*self._connections, return_exceptions=True)
        else:
            await self.close()
            self.let_pass()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes between one client and Postgres until either closes the connection."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def close(self) -> None:
        """End all connections."""
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, requests: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            responses, server = await asyncio.open_connection(self._host, self._port)
            try:
                await self._pass_both(requests, client, responses, server)
            finally:
                await _close(server)
        finally:
            await _close(client)

    async def _pass_both(
        self,
        requests: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        responses: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        passing = [
            asyncio.create_task(self._pass_requests(requests, server)),
            asyncio.create_task(_pass(responses, client)),
        ]
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in passing:
                task.cancel()
            await asyncio.gather(*passing, return_exceptions=True)

    async def _pass_requests(self, requests: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        # The first messages have no type: what asks for encryption, and what names the user.
        is_listener, is_started = False, False
        with suppress(OSError):
            while sent := await requests.read(_CHUNK_BYTES):
                is_listener = is_listener or _LISTENER in sent
                if is_started and not is_listener and has_statement(sent):
                    self.statements += 1
                    if self.statements == self._held_number:
                        await self._hold()
                if self._held_text and self._held_text in sent:
                    await self._hold()
                is_started = is_started or b"user\0" in sent
                server.write(sent)
                await server.drain()

    async def _hold(self) -> None:
        self._is_held.set()
        await self._may_pass.wait()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while received := await reader.read(_CHUNK_BYTES):
            writer.write(received)
            await writer.drain()


@asynccontextmanager
async def postgres_proxy(database_url: str) -> AsyncIterator[tuple[PostgresProxy, str]]:
    """Run a proxy during the block; yields it and the database's URL through it."""
    proxy = PostgresProxy(database_url)
    parts = urlsplit(database_url)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        credentials = parts.netloc.rpartition("@")[0]
        yield proxy, parts._replace(netloc=f"{credentials}@127.0.0.1:{port}").geturl()
        await proxy.close()
