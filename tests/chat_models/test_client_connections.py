"""When the client opens, reuses, retries and closes connections, and how long it waits."""

import asyncio
from typing import Any

import aiohttp
import pytest

from app.chat_models.client import AiohttpChatModelClient
from app.chat_models.protocol import ChatModelClient
from app.core.concurrency import cancel_all
from app.core.errors import ProviderError, ProviderTimeoutError
from tests.chat_models.raw_server import (
    LAST_CHUNK,
    SSE_HEAD,
    Connection,
    RawServer,
    always,
    chunk,
    raw_server,
    response,
)
from tests.chat_models.taking import Taken
from tests.chat_models.wire import COMPLETION, DONE, HELLO, STOP, complete, sent_body, stream, upstream


async def test_calls_share_a_connection_after_completions_and_streams(client: ChatModelClient) -> None:
    async def respond(connection: Connection, request: bytes) -> None:
        is_stream = sent_body(request).get("stream")
        await connection.send(SSE_HEAD + chunk(HELLO + STOP + DONE) if is_stream else response(COMPLETION))
        if is_stream:
            # The end of the body is sent only after the client has seen [DONE].
            for _ in range(20):
                await asyncio.sleep(0)
            await connection.send(LAST_CHUNK)

    async with raw_server(respond) as server:
        await complete(client, server)
        await stream(client, server)
        await stream(client, server)
        await complete(client, server)

    assert (len(server.connections), len(server.requests)) == (1, 4)


async def test_an_upstream_that_keeps_the_connection_open_after_done_does_not_delay_the_end(
    client: ChatModelClient,
) -> None:
    async with raw_server(always(SSE_HEAD, chunk(HELLO + STOP + DONE))) as server:
        chunks = await stream(client, server)

    assert len(chunks) == 2


async def test_a_connection_that_was_closed_while_idle_is_not_reused(client: ChatModelClient) -> None:
    async with raw_server(always(response(COMPLETION), is_closed=True)) as server:
        await complete(client, server)
        # Give the event loop a chance to see the close, which the kernel has already delivered.
        await asyncio.sleep(0.01)
        await complete(client, server)

    assert (len(server.connections), len(server.requests)) == (2, 2)


@pytest.mark.parametrize("method", [complete, stream])
async def test_a_request_that_may_have_been_read_is_not_sent_again(client: ChatModelClient, method: Any) -> None:
    """If a reused connection ends without a response, nobody can tell whether the request was processed."""

    async def respond(connection: Connection, request: bytes) -> None:
        if len(server.requests) == 1:
            await connection.send(response(COMPLETION))
        else:
            connection.writer.close()

    async with raw_server(respond) as server:
        await complete(client, server)
        with pytest.raises(ProviderError):
            await method(client, server)

    assert (len(server.connections), len(server.requests)) == (1, 2)


@pytest.mark.parametrize("method", [complete, stream])
async def test_connecting_is_tried_twice(method: Any) -> None:
    tries = []

    async def count(*_: object) -> None:
        tries.append(1)

    async with raw_server(always()) as closed_server:
        pass
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(count)
    client = AiohttpChatModelClient(aiohttp.ClientSession(trace_configs=[trace]))

    with pytest.raises(ProviderError):
        await method(client, closed_server)

    await client.close()
    assert len(tries) == 2


async def test_an_upstream_that_starts_to_listen_between_the_two_tries_is_reached() -> None:
    tries = []

    async def start_on_the_second_try(*_: object) -> None:
        tries.append(1)
        if len(tries) == 2:
            await listener.start_serving()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response(COMPLETION, headers=b"Connection: close\r\n"))
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, start_serving=False)
    server = RawServer(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(start_on_the_second_try)
    client = AiohttpChatModelClient(aiohttp.ClientSession(trace_configs=[trace]))

    completion = await complete(client, server)

    await client.close()
    listener.close()
    assert completion[0]["choices"][0]["delta"]["content"] == "Hello"


async def test_a_call_has_a_time_limit(client: ChatModelClient) -> None:
    async with raw_server(always()) as server:
        with pytest.raises(ProviderTimeoutError):
            await client.complete(upstream(server), {"messages": []}, timeout=0.1)


async def test_a_stream_has_a_time_limit_even_if_it_keeps_sending(client: ChatModelClient) -> None:
    async def respond(connection: Connection, request: bytes) -> None:
        await connection.send(SSE_HEAD)
        while True:
            await connection.send(chunk(HELLO))
            await asyncio.sleep(0.01)

    async with raw_server(respond) as server:
        with pytest.raises(ProviderTimeoutError):
            await stream(client, server, timeout=0.2)


async def test_cancelling_a_stream_closes_its_connection(client: ChatModelClient) -> None:
    hung_up = asyncio.Event()

    async def respond(connection: Connection, request: bytes) -> None:
        await connection.send(SSE_HEAD + chunk(HELLO))
        assert await connection.reader.read() == b""
        hung_up.set()

    async with raw_server(respond) as server:
        taken = Taken()
        call = asyncio.create_task(client.stream(upstream(server), {"messages": []}, taken.take, timeout=30))
        await taken.until(1)
        await cancel_all([call])
        await hung_up.wait()


@pytest.mark.parametrize("method", [complete, stream])
async def test_cancelling_a_call_closes_its_connection(client: ChatModelClient, method: Any) -> None:
    asked, hung_up = asyncio.Event(), asyncio.Event()

    async def respond(connection: Connection, request: bytes) -> None:
        asked.set()
        assert await connection.reader.read() == b""
        hung_up.set()

    async with raw_server(respond) as server:
        call = asyncio.create_task(method(client, server))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await hung_up.wait()
