"""A connection to Redis that ends while nothing uses it: reset by a firewall, or given up because nobody responds."""

import asyncio
import ctypes
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop

from app.core.settings import Settings
from app.queue.open import open_redis
from tests.waiting import until

_RESET = struct.pack("ii", 1, 0)
# A classic BPF program of one instruction: drop every segment.
_SO_ATTACH_FILTER = 26
_DROP_ALL = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))
_SOON = {socket.TCP_KEEPIDLE: 1, socket.TCP_KEEPINTVL: 1, socket.TCP_KEEPCNT: 1}
_CHUNK_BYTES = 64 * 1024

Runner = Callable[[Coroutine[Any, Any, bool]], bool]
End = Callable[[asyncio.StreamWriter], None]


def reset(client: asyncio.StreamWriter) -> None:
    """The client reads ECONNRESET."""
    client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    client.transport.abort()


def fall_silent(client: asyncio.StreamWriter) -> None:
    """The client's system probes the connection and gets no response: the client reads ETIMEDOUT."""
    dropping = struct.pack("HP", 1, ctypes.addressof(_DROP_ALL))
    client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, dropping)


@dataclass
class EndingProxy:
    """Passes bytes on to Redis, and ends its clients' connections when it is asked to."""

    url: str = ""
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _clients: list[asyncio.StreamWriter] = field(default_factory=list)

    def end(self, how: End) -> None:
        """End the connections that are open. It can be called from any thread."""
        for client in self._clients:
            self._loop.call_soon_threadsafe(how, client)


@asynccontextmanager
async def ending_proxy(redis_url: str) -> AsyncIterator[EndingProxy]:
    """Such a proxy in front of Redis."""
    parts = urlsplit(redis_url)
    proxy = EndingProxy()
    opened: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy._clients.append(writer)
        responses, server = await asyncio.open_connection(parts.hostname, parts.port)
        opened.extend([writer, server])
        await asyncio.gather(_pass(reader, server), _pass(responses, writer), return_exceptions=True)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    credentials = parts.netloc.rpartition("@")[0]
    proxy.url = parts._replace(netloc=f"{credentials}@127.0.0.1:{listener.sockets[0].getsockname()[1]}").geturl()
    try:
        yield proxy
    finally:
        listener.close()
        for writer in opened:
            writer.transport.abort()


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(_CHUNK_BYTES):
        target.write(data)
    target.close()


async def is_closed(connection: Any) -> bool:
    return bool(connection._writer.transport.is_closing())


async def ping_after(how: End, settings: Settings, proxy: EndingProxy) -> bool:
    redis = open_redis(settings.model_copy(update={"redis_url": proxy.url}))
    pool: Any = redis.connection_pool
    pool.connection_kwargs["socket_keepalive_options"] = _SOON
    try:
        await redis.ping()
        proxy.end(how)
        (idle,) = pool._available_connections
        await until(lambda: is_closed(idle))
        return bool(await redis.ping())
    finally:
        await pool.disconnect()


@pytest.mark.parametrize("how", [reset, fall_silent])
@pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
async def test_a_connection_that_has_ended_is_replaced(environment: dict[str, str], run: Runner, how: End) -> None:
    settings = Settings.model_validate({name.lower(): value for name, value in environment.items()})

    async with ending_proxy(environment["REDIS_URL"]) as proxy:
        assert await asyncio.to_thread(run, ping_after(how, settings, proxy))
