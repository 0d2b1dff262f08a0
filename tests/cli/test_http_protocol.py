"""What a connection may send and how long it may take: the protocol over a transport and a clock of the test's own."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from app.cli.http_protocol import (
    LEAST_BODY_BYTES,
    LINGER_SECONDS,
    MOST_FIELDS,
    MOST_HEAD_BYTES,
    MOST_PIPELINED,
    HttpProtocol,
)

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 80)})
        self.written = b""
        self.unsent = 0
        self.state = "open"

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.state = "closed"

    def write_eof(self) -> None:
        self.state = "closed for writing"

    def abort(self) -> None:
        self.state = "aborted"

    def is_closing(self) -> bool:
        return self.state in {"closed", "aborted"}

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Clock:
    """The part of an event loop that the protocol uses. Time passes when the test says so."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, asyncio.TimerHandle]] = []
        self._loop = asyncio.get_running_loop()

    def create_task(self, *args: Any, **options: Any) -> Any:
        return self._loop.create_task(*args, **options)

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(0, callback, (), self._loop)
        self.timers.append((delay, handle))
        return handle

    def let_pass(self, seconds: float) -> None:
        """Run what is due within so many seconds from now."""
        due = [timer for timer in self.timers if timer[0] <= seconds]
        self.timers = [timer for timer in self.timers if timer[0] > seconds]
        for _, handle in due:
            if not handle.cancelled():
                handle._run()


class Connection:
    """A connection whose requests are answered with their path and body, once `answering` is set."""

    def __init__(self) -> None:
        self.wire, self.clock = Wire(), Clock()
        self.answering = asyncio.Event()
        self.answering.set()
        self.heads: list[Scope] = []
        config = uvicorn.Config(
            self.answer, http=HttpProtocol, ws="none", interface="asgi3", proxy_headers=False, log_config=None
        )
        config.load()
        options: Any = {"config": config, "server_state": ServerState(), "app_state": {}, "_loop": self.clock}
        self.protocol = HttpProtocol(**options)
        self.protocol.connection_made(self.wire)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.heads.append(scope)
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        await self.answering.wait()
        await PlainTextResponse(scope["path"].encode() + b":" + body)(scope, receive, send)

    async def send(self, *pieces: bytes) -> bytes:
        """Send these pieces; what was written until nothing happens any more."""
        for piece in pieces:
            self.protocol.data_received(piece)
            for _ in range(8):
                await asyncio.sleep(0)
        return self.wire.written

    def refusal(self) -> tuple[int, str]:
        """The status and code of the last response, which must be a refusal in the API's form."""
        head, content = self.wire.written.split(b"\r\n\r\n")[-2:]
        fields = dict(line.split(b": ") for line in head.split(b"\r\n")[1:])
        assert fields[b"connection"] == b"close"
        assert fields[b"x-request-id"]
        assert int(fields[b"content-length"]) == len(content)
        return int(head.split()[1]), json.loads(content)["error"]["code"]


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    opened = Connection()
    yield opened
    opened.answering.set()
    opened.protocol.connection_lost(None)


async def test_requests_are_answered_one_after_another(connection: Connection) -> None:
    written = await connection.send(POST % 2 + b"\r\nhi", GET + b"\r\n" + GET + b"\r\n")

    assert written.count(b"HTTP/1.1 200 OK") == 3
    assert b"/a:hi" in written
    assert connection.wire.state == "open"


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X: " + b"a" * MOST_HEAD_BYTES + b"\r\n\r\n",
        GET + b"X: " + b"a" * MOST_HEAD_BYTES * 3,
        GET + b"".join(b"X%d: a\r\n" % number for number in range(MOST_FIELDS + 1)),
        GET + b"".join(b"X%d: %s\r\n" % (number, b"a" * 1000) for number in range(90)),
        b"GET /" + b"a" * MOST_HEAD_BYTES + b" HTTP/1.1\r\n",
        POST.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked")
        + b"\r\n2\r\nhi\r\n0\r\n"
        + b"X: a\r\n" * 101,
        b"\r\n" * MOST_HEAD_BYTES,
    ],
    ids=["field", "open field", "fields", "all fields", "path", "fields after the body", "nothing but ends of lines"],
)
@pytest.mark.parametrize("size", [60_000, 1000])
async def test_a_head_that_is_too_large_is_refused(connection: Connection, head: bytes, size: int) -> None:
    await connection.send(*(head[start : start + size] for start in range(0, len(head), size)), b"a", b"a")

    assert connection.refusal() == (431, "headers_too_large")
    assert connection.wire.state == "closed for writing"
    assert b"200 OK" not in connection.wire.written


async def test_a_head_as_large_as_it_may_be_is_read(connection: Connection) -> None:
    large = b"".join(b"X%d: %s\r\n" % (number, b"a" * 600) for number in range(MOST_FIELDS - 1))

    written = await connection.send(
        GET, large[:30_000], large[30_000:], b"\r\n", POST % 200_000 + b"\r\n" + b"a" * 200_000
    )

    assert written.count(b"200 OK") == 2


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        GET + b"X A: b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        POST % 5 + b"Transfer-Encoding: chunked\r\n\r\n",
        POST.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked") + b"\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_refused_in_the_form_of_the_api(connection: Connection, request_bytes: bytes) -> None:
    await connection.send(request_bytes)

    assert connection.refusal() == (400, "invalid_request")
    assert connection.wire.state == "closed for writing"


async def test_garbage_after_a_request_does_not_disturb_its_response(connection: Connection) -> None:
    connection.answering.clear()
    await connection.send(GET + b"\r\n" + b"GARBAGE\r\n\r\n")
    connection.answering.set()
    written = await connection.send(GET + b"\r\n")

    assert written.count(b"HTTP/1.1") == 1
    assert connection.wire.state == "closed"


async def test_a_client_that_sends_very_many_requests_at_once_gets_some_responses(connection: Connection) -> None:
    connection.answering.clear()
    await connection.send((GET + b"\r\n") * 5000)
    connection.answering.set()
    for _ in range(MOST_PIPELINED):
        await connection.send(b"")

    assert len(connection.heads) == connection.wire.written.count(b"200 OK") == MOST_PIPELINED + 1
    assert connection.wire.state == "closed"


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"odd"])
@pytest.mark.parametrize("size", [1000, 7, 1])
async def test_an_upgrade_is_ignored_and_the_body_is_read(connection: Connection, protocol: bytes, size: int) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + protocol + b"\r\nHTTP2-Settings: AAEAAEAA\r\n\r\n"
    chunked = POST.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked") + upgrade + b"2\r\nhi\r\n0\r\n\r\n"
    requests = POST % 2 + upgrade + b"hi" + chunked + GET + upgrade + GET + b"\r\n"

    await connection.send(*(requests[start : start + size] for start in range(0, len(requests), size)))
    written = await connection.send(b"", b"", b"")

    assert (written.count(b"200 OK"), written.count(b"/a:hi")) == (4, 2)
    assert dict(connection.heads[0]["headers"])[b"upgrade"] == protocol


@pytest.mark.parametrize(
    ("sent", "refusal"),
    [([], None), ([GET], (408, "request_timeout")), ([POST % 50_000 + b"\r\nhi"], (408, "request_timeout"))],
    ids=["silent", "half a head", "half a body"],
)
async def test_a_silent_connection_ends(
    connection: Connection, sent: list[bytes], refusal: tuple[int, str] | None
) -> None:
    await connection.send(*sent)
    connection.clock.let_pass(30)

    assert connection.wire.state == ("closed for writing" if refusal else "closed")
    assert (connection.refusal() if connection.wire.written else None) == refusal


async def test_a_head_that_arrives_byte_by_byte_has_no_more_time(connection: Connection) -> None:
    await connection.send(*(bytes([byte]) for byte in GET))
    connection.clock.let_pass(30)

    assert connection.refusal() == (408, "request_timeout")


async def test_a_second_head_has_its_own_time(connection: Connection) -> None:
    await connection.send(GET + b"\r\n", GET)
    connection.clock.let_pass(30)

    assert connection.refusal() == (408, "request_timeout")


async def test_a_slow_but_steady_upload_goes_on(connection: Connection) -> None:
    await connection.send(POST % (3 * LEAST_BODY_BYTES) + b"\r\n")
    for _ in range(3):
        await connection.send(b"a" * LEAST_BODY_BYTES)
        connection.clock.let_pass(30)

    assert b"200 OK" in connection.wire.written


async def test_a_client_may_wait_for_its_response_as_long_as_it_takes(connection: Connection) -> None:
    connection.answering.clear()
    await connection.send(GET + b"\r\n")
    for _ in range(20):
        connection.clock.let_pass(30)
    connection.answering.set()

    assert b"200 OK" in await connection.send(b"")


async def test_a_connection_that_is_not_used_again_ends(connection: Connection) -> None:
    await connection.send(GET + b"\r\n")
    # Empty lines are no request.
    await connection.send(b"\r\n")
    connection.clock.let_pass(30)

    assert connection.wire.state == "closed"


async def test_a_client_that_does_not_read_is_hung_up_on(connection: Connection) -> None:
    connection.answering.clear()
    await connection.send(GET + b"\r\n")
    connection.wire.unsent = 100_000
    connection.protocol.pause_writing()
    connection.wire.unsent = 90_000
    connection.clock.let_pass(30)
    assert connection.wire.state == "open"

    connection.clock.let_pass(30)
    assert connection.wire.state == "aborted"


async def test_a_client_that_reads_the_last_response_slowly_gets_all_of_it(connection: Connection) -> None:
    connection.wire.unsent = 100_000
    await connection.send(GET.replace(b"Host: x", b"Connection: close") + b"\r\n")
    connection.wire.unsent = 90_000
    connection.clock.let_pass(30)
    assert connection.wire.state == "closed"

    connection.clock.let_pass(30)
    assert connection.wire.state == "aborted"


async def test_a_client_that_was_refused_may_finish_what_it_sends(connection: Connection) -> None:
    await connection.send(b"GARBAGE\r\n\r\n", *([b"a" * 60_000] * 100))
    assert connection.wire.state == "closed for writing"

    connection.clock.let_pass(LINGER_SECONDS)
    assert connection.wire.state == "aborted"


async def test_a_client_that_was_refused_may_not_send_for_ever(connection: Connection) -> None:
    await connection.send(b"GARBAGE\r\n\r\n", *([b"a" * 1_000_000] * 20))

    assert connection.wire.state == "closed"
