"""A TCP relay in front of a server: it can change the server behind its address, and spoil the connections."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from threading import Event, Thread

_CHUNK = 64 * 1024
_SLOW_CHUNK, _SLOW_SECONDS = 4 * 1024, 0.2
_DROP_AFTER = 2000  # bytes of one direction
_UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nContent-Length: 59\r\n"
    b"Connection: close\r\n\r\n<Error><Code>SlowDown</Code><Message>Later</Message></Error>"
)


class Mood(Enum):
    """What a relay does to connections."""

    FAITHFUL = auto()
    SLOW = auto()  # a few kilobytes, then a pause
    REFUSING = auto()  # each new connection is answered with HTTP 503
    DROPPING = auto()  # each connection is closed after a few kilobytes


class Relay:
    """One address, and the server of 127.0.0.1 that it leads to.

    A new target counts for new connections; those that exist stay with the server that they were made to. A new mood
    counts for all. The methods may be called in any thread.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.spoiled = 0
        self._target = target
        self._mood = Mood.FAITHFUL
        self._ready = Event()

    def lead_to(self, port: int) -> None:
        """Connect those who come from now on to another port."""
        self._target = port

    def be(self, mood: Mood) -> None:
        """Treat all connections like this from now on."""
        self._mood = mood

    def run(self) -> None:
        """Serve until `end` is called, in the thread of its own that this is called in."""
        asyncio.run(self._serve())

    def wait(self) -> None:
        """Wait until the port is known."""
        self._ready.wait()

    def end(self) -> None:
        """Close everything."""
        self._loop.call_soon_threadsafe(self._ending.set)

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ending.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # closed connections are freed in the next turn of the loop

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                if self._mood is Mood.REFUSING:
                    await self._refuse(reader, writer)
                else:
                    await self._join(reader, writer)
        finally:
            writer.close()

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.spoiled += 1
        await reader.read(_CHUNK)
        writer.write(_UNAVAILABLE)
        await writer.drain()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            pumps = {
                asyncio.ensure_future(self._pump(reader, downstream)),
                asyncio.ensure_future(self._pump(upstream, writer)),
            }
            _, running = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in running:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            downstream.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried = 0
        while data := await reader.read(_SLOW_CHUNK if self._mood is Mood.SLOW else _CHUNK):
            if self._mood is Mood.SLOW:
                self.spoiled += 1
                await asyncio.sleep(_SLOW_SECONDS)
            carried += len(data)
            if self._mood in {Mood.DROPPING, Mood.REFUSING} and carried > _DROP_AFTER:
                self.spoiled += 1
                return
            writer.write(data)
            await writer.drain()


@contextmanager
def relaying(target: int) -> Iterator[Relay]:
    """Run a relay to a port of 127.0.0.1 for as long as the block takes."""
    relay = Relay(target)
    thread = Thread(target=relay.run, name=f"relay to {target}", daemon=True)
    thread.start()
    relay.wait()
    try:
        yield relay
    finally:
        relay.end()
        thread.join()
