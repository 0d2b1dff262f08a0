from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis

from bench.turn_cost.listening import start_listening
from bench.turn_cost.twin import KEY
from devstack import product
from devstack.ports import free_port
from devstack.programs import Program
from devstack.servers import EmbeddedServers
from tests.waiting import PATIENCE


@contextmanager
def _running(module: str, folder: Path, **settings: str) -> Iterator[str]:
    """Run a program of the bench during the block; yields where it listens."""
    port = free_port()
    arguments = ("-m", f"bench.turn_cost.{module}", str(port))
    program = Program(module, arguments, product.isolated(settings), folder / f"{module}.log", folder=folder)
    try:
        start_listening(program, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        program.stop()


@pytest.fixture(scope="session")
def model_server(run_folder: Path) -> Iterator[str]:
    """The bench's chat model server."""
    with _running("upstream", run_folder) as url:
        yield url


@dataclass(frozen=True)
class HandWritten:
    """A server that the product is compared with, its database, its Redis, and the chat model server that it calls."""

    name: str
    url: str
    database: asyncpg.Connection
    redis: Redis
    model_server: str

    async def ask(self, **body: Any) -> httpx.Response:
        """The response to a chat request; `headers` are further ones."""
        headers = {"authorization": f"Bearer {KEY}", **body.pop("headers", {})}
        async with httpx.AsyncClient(base_url=self.url, timeout=PATIENCE) as http:
            return await http.post("/v1/chat/completions", json=body, headers=headers)

    async def stat(self) -> dict[str, int]:
        """What the chat model server has counted so far."""
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            counts: dict[str, int] = (await http.get(f"{self.model_server}/stat")).json()
        return counts


@pytest.fixture
async def hand_written(
    request: pytest.FixtureRequest, embedded: EmbeddedServers, model_server: str, tmp_path: Path
) -> AsyncIterator[HandWritten]:
    """The server whose module is the parameter, with a new database."""
    name = f"bench_{tmp_path.name}"
    maker = await asyncpg.connect(embedded.database_url)
    await maker.execute(f'CREATE DATABASE "{name}"')
    await maker.close()
    database = urlsplit(embedded.database_url)._replace(path=f"/{name}").geturl()
    settings = {"DATABASE_URL": database, "REDIS_URL": embedded.redis_url, "LLM_BASE_URL": f"{model_server}/v1"}
    with _running(request.param, tmp_path, EVENTS="1", **settings) as url:
        connection = await asyncpg.connect(database)
        async with Redis.from_url(embedded.redis_url) as redis:
            yield HandWritten(request.param, url, connection, redis, model_server)
        await connection.close()
