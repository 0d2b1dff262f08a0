"""An API process that is asked to stop: out of rotation first, then closed without losing a request."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import conversation, opened_stream
from tests.chat.books import books_of
from tests.chat.openai.grammar import read_stream
from tests.chat.test_shutdown import ended, is_closed, stoppable
from tests.conftest import Stack
from tests.programs import Api
from tests.waiting import until

LONG = "300"
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"


async def is_out_of_rotation(http: httpx.AsyncClient, api: Api) -> bool:
    return await readiness(http, api) == (503, "stopping")


async def readiness(http: httpx.AsyncClient, api: Api) -> tuple[int, str]:
    response = await http.get(f"{api.url}/readyz")
    return response.status_code, response.json()["status"]


@asynccontextmanager
async def connected(api: Api) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def head_of(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n\r\n")).decode().lower()


async def test_it_is_out_of_rotation_before_it_refuses_anything(stack: Stack) -> None:
    async with stoppable(stack, LONG, SHUTDOWN_DELAY_SECONDS=LONG) as (api, http), connected(api) as (reader, writer):
        writer.write(REQUEST)
        assert "connection: close" not in await head_of(reader)
        await reader.readexactly(len(json.dumps({"status": "ok"}, separators=(",", ":"))))
        assert await readiness(http, api) == (200, "ready")
        api.process.terminate()

        await until(lambda: is_out_of_rotation(http, api))
        # It still takes new connections, and responds to everything.
        assert (await http.get(f"{api.url}/healthz")).headers["connection"] == "close"
        # A connection that was kept alive is closed with its next response.
        writer.write(REQUEST)
        assert "connection: close" in await head_of(reader)
        # The second signal ends the delay, and there is nothing else to wait for.
        api.process.terminate()
        await ended(api)

    assert api.process.returncode == 0


async def test_ctrl_c_has_no_delay(stack: Stack) -> None:
    async with stoppable(stack, LONG, SHUTDOWN_DELAY_SECONDS=LONG) as (api, _):
        api.process.send_signal(signal.SIGINT)
        await ended(api)

    assert api.process.returncode == 0


async def test_the_second_signal_ends_the_turns_at_once_and_they_are_charged(stack: Stack, database: Database) -> None:
    host = await make_host(database, "sim-chat--stall-2")
    async with stoppable(stack, LONG) as (api, doomed):
        async with opened_stream(doomed, host, "count to 4", **conversation("streamed")) as opened:
            await opened.read(until=b'"2 "')
            api.process.terminate()
            await until(lambda: is_closed(api))
            api.process.terminate()
            await opened.read()
        await ended(api)

    streamed = read_stream(opened.response, opened.raw)
    assert (streamed.text, (streamed.error or {})["code"]) == ("1 2 ", "service_unavailable")
    assert (await books_of(database, host)).charges
    assert api.process.returncode == 0


async def test_requests_that_are_on_their_way_are_served(stack: Stack) -> None:
    """The kernel has completed the connections, and the process has not seen them when it is asked to stop."""
    async with stoppable(stack, LONG, SHUTDOWN_DELAY_SECONDS="3") as (api, _):
        api.process.send_signal(signal.SIGSTOP)
        clients = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(20)]
        api.process.terminate()
        for _, writer in clients[:10]:
            writer.write(REQUEST)
        api.process.send_signal(signal.SIGCONT)
        heads = [await head_of(reader) for reader, _ in clients[:10]]
        # The others ask when the process is stopping already.
        for _, writer in clients[10:]:
            writer.write(REQUEST)
        heads += [await head_of(reader) for reader, _ in clients[10:]]
        for _, writer in clients:
            writer.close()
        await ended(api)

    assert [head.split("\r\n")[0] for head in heads] == ["http/1.1 200 ok"] * 20
