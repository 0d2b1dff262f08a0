"""What a program asks of Postgres and Redis, counted between them: proxies that read the protocols' messages."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

_PIECE = 65_536
# The first message of a Postgres connection has no type: four bytes of length, then what it is. It may be preceded by
# the question whether the server encrypts, which one without certificates answers with no.
_START_UP = "start-up"
_WILL_YOU_ENCRYPT = struct.pack("!I", 80_877_103)


@dataclass
class Traffic:
    """What was asked so far.

    Attributes:
        url: the server's URL, through the proxy.
        asked: each statement of SQL, or each command of Redis by its name, in order.
        round_trips: how often something was sent after the last thing had been answered, or for the first time.
    """

    url: str
    asked: list[str] = field(default_factory=list)
    round_trips: int = 0

    def mark(self) -> tuple[int, int]:
        """Where the counts are now."""
        return len(self.asked), self.round_trips


class _Reader(Protocol):
    """Reads what the client of one connection sends."""

    def feed(self, data: bytes) -> list[str]:
        """What was asked for by these further bytes."""


class PostgresReader:
    """Finds the statements that are executed: also those prepared earlier, and each part of a simple query."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_new = True
        self._prepared: dict[bytes, str] = {}
        self._portals: dict[bytes, str] = {}
        self.is_listening = False

    def feed(self, data: bytes) -> list[str]:
        self._rest += data
        asked: list[str] = []
        while (message := self._next()) is not None:
            asked += self._statements(*message)
        # A connection that listens for notifications works for no request.
        self.is_listening = self.is_listening or any(sql.startswith("LISTEN") for sql in asked)
        return [] if self.is_listening else asked

    def _next(self) -> tuple[str, bytes] | None:
        head = 0 if self._is_new else 1
        if len(self._rest) < head + 4:
            return None
        (length,) = struct.unpack_from("!I", self._rest, head)
        if len(self._rest) < head + length:
            return None
        kind = self._rest[:head].decode() or _START_UP
        body = self._rest[head + 4 : head + length]
        self._rest = self._rest[head + length :]
        self._is_new = self._is_new and body == _WILL_YOU_ENCRYPT
        return kind, body

    def _statements(self, kind: str, body: bytes) -> list[str]:
        first, _, rest = body.partition(b"\0")
        second = rest.partition(b"\0")[0]
        if kind == "Q":
            return [part.strip() for part in first.decode().split(";") if part.strip()]
        if kind == "P":
            self._prepared[first] = second.decode()
        elif kind == "B":
            self._portals[first] = self._prepared[second]
        elif kind == "E":
            return [self._portals[first]]
        return []


class RedisReader:
    """Finds the names of the commands. Each is an array of bulk strings."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        self._rest += data
        asked = []
        while (words := self._next()) is not None:
            asked.append(words[0].decode().upper())
        return asked

    def _next(self) -> list[bytes] | None:
        if (found := self._line(0)) is None:
            return None
        count, at = found
        words = []
        for _ in range(count):
            if (found := self._line(at)) is None:
                return None
            size, at = found
            if len(self._rest) < at + size + 2:
                return None
            words.append(self._rest[at : at + size])
            at += size + 2
        self._rest = self._rest[at:]
        return words

    def _line(self, at: int) -> tuple[int, int] | None:
        """The number of the line that begins here, such as `*3` or `$5`, and where the next one begins."""
        end = self._rest.find(b"\r\n", at)
        return None if end < 0 else (int(self._rest[at + 1 : end]), end + 2)


@asynccontextmanager
async def counted(url: str, new_reader: Callable[[], _Reader]) -> AsyncIterator[Traffic]:
    """A proxy that passes everything on to the server of this URL, and counts what is asked of it."""
    target = urlsplit(url)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(target.hostname, target.port)
        state = _State()
        answers = asyncio.create_task(_answer(server, to_client, state))
        tasks.add(answers)
        reader = new_reader()
        try:
            while data := await client.read(_PIECE):
                if asked := reader.feed(data):
                    traffic.asked += asked
                    traffic.round_trips += not state.is_waiting
                    state.is_waiting = True
                to_server.write(data)
        except ConnectionError:
            pass
        finally:
            answers.cancel()
            to_server.close()
            to_client.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    credentials, at, _ = target.netloc.rpartition("@")
    traffic = Traffic(urlunsplit(target._replace(netloc=f"{credentials}{at}127.0.0.1:{port}")))
    try:
        yield traffic
    finally:
        listener.close()


@dataclass
class _State:
    """Whether what was asked on a connection is still to be answered."""

    is_waiting: bool = False


async def _answer(server: asyncio.StreamReader, to_client: asyncio.StreamWriter, state: _State) -> None:
    while data := await server.read(_PIECE):
        state.is_waiting = False
        to_client.write(data)
    to_client.close()
