"""A closed loop of clients: each sends its next request as soon as its last one is answered.

`python -m bench.turn_cost.load` reads an `Order` from each line of its standard input, as JSON, and prints
its `Outcome`.
"""

import asyncio
import itertools
import secrets
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import orjson
import uvloop

from bench.turn_cost.client import Connection, Exchange

_PATIENCE_SECONDS = 120.0
_FEW = 3


@dataclass(frozen=True)
class Order:
    """What load to make.

    Attributes:
        host, port: the server under load.
        method, path, headers: those of every request.
        bodies: sent one after the other, and again from the first; none for requests without a body.
        connections: how many clients there are.
        seconds: how long new requests are sent; every one that was sent is awaited.
        requests: how many requests are sent at most; 0 for as many as there is time for.
        status: the status that every response has to have.
        is_streamed: whether responses are streams, which have to be whole.
        has_keys: whether every request has an `Idempotency-Key` of its own.
    """

    host: str
    port: int
    method: str
    path: str
    headers: dict[str, str]
    bodies: Sequence[dict[str, Any]]
    connections: int
    seconds: float
    requests: int = 0
    status: int = 200
    is_streamed: bool = False
    has_keys: bool = False


@dataclass(frozen=True)
class Outcome:
    """What the load was like. Times are in milliseconds.

    Attributes:
        requests: how many responses were as they should be.
        failures: how many were not; `samples` says what a few of them were.
        failed: how many there were of each status; 0 for those without an answer.
        seconds: how long it all took.
        p50, p99: of the time from a request to the end of its response.
        first_word_p50: of the time to the first piece of text, for streams.
        sessions: the sessions of the responses, for a few requests only.
    """

    requests: int
    failures: int
    seconds: float
    p50: float
    p99: float
    first_word_p50: float
    failed: dict[str, int] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)


class _Load:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._bodies: Iterator[bytes] = itertools.cycle([_rest_of(body) for body in order.bodies] or [b"\r\n"])
        self._head = _head_of(order)
        self._left = iter(range(order.requests)) if order.requests else itertools.count()
        self.good: list[Exchange] = []
        self.bad: list[str] = []
        self.failed: Counter[int] = Counter()

    async def run(self) -> Outcome:
        began = perf_counter()
        until = began + self._order.seconds
        await asyncio.gather(*(self._one_client(until) for _ in range(self._order.connections)))
        return self._outcome(perf_counter() - began)

    async def _one_client(self, until: float) -> None:
        connection: Connection | None = None
        while perf_counter() < until and next(self._left, None) is not None:
            if connection is None or connection.is_lost:
                connection = await self._connect()
            await self._exchange(connection)
        if connection is not None:
            connection.close()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self._order.host, self._order.port)
        return connection

    async def _exchange(self, connection: Connection) -> None:
        order = self._order
        key = f"idempotency-key: {secrets.token_hex(12)}\r\n".encode() if order.has_keys else b""
        try:
            exchange = await asyncio.wait_for(connection.send(self._head + key + next(self._bodies)), _PATIENCE_SECONDS)
        except (ConnectionError, TimeoutError) as error:
            connection.is_lost = True
            self._note_failure(0, repr(error))
            return
        if exchange.is_good(status=order.status, is_streamed=order.is_streamed):
            self.good.append(exchange)
        else:
            self._note_failure(exchange.status, f"{exchange.status} {exchange.tail[:300]!r}")

    def _note_failure(self, status: int, sample: str) -> None:
        self.failed[status] += 1
        self.bad.append(sample)

    def _outcome(self, seconds: float) -> Outcome:
        durations = [exchange.duration for exchange in self.good]
        first_words = [exchange.first_word for exchange in self.good if exchange.first_word is not None]
        return Outcome(
            requests=len(self.good),
            failures=len(self.bad),
            seconds=seconds,
            p50=_percentile(durations, 50),
            p99=_percentile(durations, 99),
            first_word_p50=_percentile(first_words, 50),
            failed={str(status): count for status, count in self.failed.items()},
            samples=self.bad[:_FEW],
            sessions=[exchange.session_id for exchange in self.good] if self._order.requests else [],
        )


def _head_of(order: Order) -> bytes:
    """The request line and the headers that all requests share."""
    headers = {"host": f"{order.host}:{order.port}", "accept": "*/*", "user-agent": "bench", **order.headers}
    lines = [f"{order.method} {order.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _rest_of(body: dict[str, Any]) -> bytes:
    """The headers about a body, and the body."""
    content = orjson.dumps(body)
    return b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content)


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """In milliseconds; 0 if there are none."""
    if len(seconds) < 2:
        return 1000 * sum(seconds)
    return 1000 * statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


def main() -> None:
    """Carry out one order after the other, until there are no more."""
    for line in sys.stdin.buffer:
        outcome = uvloop.run(_Load(Order(**orjson.loads(line))).run())
        print(orjson.dumps(asdict(outcome)).decode(), flush=True)


if __name__ == "__main__":
    main()
