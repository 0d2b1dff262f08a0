"""A Redis that refuses writes in words of the test's choice, which a real one says only in a state of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

_READS = frozenset({b"PING", b"GET"})


@dataclass
class RefusingRedis:
    """Such a server.

    Attributes:
        refusal: what it responds to writes; empty while it takes them.
        connections: how many it has accepted.
        url: where it is.
    """

    refusal: str = ""
    connections: int = 0
    url: str = ""

    async def serve(self, requests: asyncio.StreamReader, responses: asyncio.StreamWriter) -> None:
        """Respond to one client until it leaves."""
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                responses.write(self._response(await _command(requests)))
        responses.close()

    def _response(self, command: list[bytes]) -> bytes:
        name = command[0].upper()
        if name == b"CLUSTER":
            return b"-ERR This instance has cluster support disabled\r\n"
        if name == b"SUBSCRIBE":
            return b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n" % (len(command[1]), command[1])
        if name == b"SET" and self.refusal:
            return f"-{self.refusal}\r\n".encode()
        return b"+PONG\r\n" if name in _READS else b"+OK\r\n"


async def _command(requests: asyncio.StreamReader) -> list[bytes]:
    count = int((await requests.readuntil(b"\r\n"))[1:])
    words = []
    for _ in range(count):
        length = int((await requests.readuntil(b"\r\n"))[1:])
        words.append((await requests.readexactly(length + 2))[:-2])
    return words


@asynccontextmanager
async def refusing_redis() -> AsyncIterator[RefusingRedis]:
    """Run one during the block."""
    redis = RefusingRedis()
    async with await asyncio.start_server(redis.serve, "127.0.0.1", 0) as server:
        redis.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        yield redis
