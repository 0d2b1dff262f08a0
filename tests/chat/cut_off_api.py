"""An API process whose Postgres can be taken away, while the tests, the worker and other processes keep theirs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

from tests.chat.asking import open_http
from tests.chat.gate import Gate, gate
from tests.conftest import Stack
from tests.programs import Api, api_process, running_apis
from tests.rate_limits.proxy import Proxy, proxy_to

_PIECE = 65_536


@dataclass
class PostgresLine:
    """A proxy to Postgres that can be cut. `url` is that of Postgres through the proxy."""

    url: str = ""
    is_cut: bool = False
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Close every connection, and each new one at once."""
        self.is_cut = True
        for writer in self._writers:
            writer.close()

    def mend(self) -> None:
        """Let new connections through."""
        self.is_cut = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what a program sends until the connection ends."""
        self._writers.add(writer)
        with suppress(OSError):
            while not self.is_cut and (data := await reader.read(_PIECE)):
                writer.write(data)
        self._writers.discard(writer)
        writer.close()


@asynccontextmanager
async def postgres_line(url: str) -> AsyncIterator[PostgresLine]:
    """Run such a proxy during the block."""
    target = urlsplit(url)
    line = PostgresLine()
    passing: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(target.hostname, target.port)
        passing.add(asyncio.create_task(line.carry(there_reader, writer)))
        await line.carry(reader, there)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        credentials, at, _ = target.netloc.rpartition("@")
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        line.url = urlunsplit(target._replace(netloc=f"{credentials}{at}{address}"))
        try:
            yield line
        finally:
            line.cut()
            await asyncio.gather(*passing, return_exceptions=True)


@dataclass(frozen=True)
class CutOffApi:
    """The API, its line to Postgres, and two ways to hold its model calls.

    `gate` is the upstream `gate`, whose answers end when the test says. `chat_models` is the line to the default one.
    """

    api: Api
    http: httpx.AsyncClient
    postgres: PostgresLine
    gate: Gate
    chat_models: Proxy
    log: Path

    def events(self, name: str) -> list[dict[str, object]]:
        """The events of this name in the process's log."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]


@asynccontextmanager
async def cut_off_api(stack: Stack, name: str, **settings: str) -> AsyncIterator[CutOffApi]:
    """Run such an API during the block."""
    log = stack.folder / f"{name}.log"
    async with (
        gate() as model,
        postgres_line(stack.environment["DATABASE_URL"]) as postgres,
        proxy_to(stack.environment["LLM_BASE_URL"]) as (chat_models, url),
    ):
        environment = {
            **stack.environment,
            "DATABASE_URL": postgres.url,
            "LLM_BASE_URL": url,
            "LLM_UPSTREAMS": json.dumps({"gate": {"base_url": model.url}}),
            **settings,
        }
        async with running_apis(api_process(environment, log)) as (api,), open_http(api.url) as http:
            yield CutOffApi(api, http, postgres, model, chat_models, log)
