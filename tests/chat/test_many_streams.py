"""A small pool of database connections serves any number of streams."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host, price_chat_models
from tests.chat.asking import CHAT, answer_of, open_http, text_of, user
from tests.chat.books import books_of, charged, cost_of
from tests.chat.counting_proxy import CountingProxy, counting_proxy
from tests.chat.gate import BEGINNING, ENDING, USAGE, Gate, gate
from tests.chat.openai.grammar import Streamed, read_stream
from tests.conftest import Stack
from tests.factories import Organization
from tests.programs import api_process, running_apis

STREAMS = 500
# Only so many begin at the same time, because a turn may wait only so long for a connection.
BEGINNING_AT_ONCE = 50
POOL = 5
# In addition to the pool: the connection that listens for changes of keys, and that of `/readyz`; and on a machine with
# much to do those over which statements are cancelled, one for each connection at most.
OTHERS = 2 + POOL + 2


@dataclass(frozen=True)
class NarrowApi:
    """An API process with a small connection pool, whose connections are counted, and a model that waits."""

    http: httpx.AsyncClient
    postgres: CountingProxy
    gate: Gate


@pytest.fixture(scope="module")
async def narrow(stack: Stack) -> AsyncIterator[NarrowApi]:
    async with (
        gate() as model,
        counting_proxy(stack.environment["DATABASE_URL"]) as postgres,
    ):
        environment = {
            **stack.environment,
            "DATABASE_URL": postgres.url,
            "DATABASE_POOL_SIZE": str(POOL),
            "LLM_UPSTREAMS": json.dumps({"gate": {"base_url": model.url}}),
        }
        async with (
            running_apis(api_process(environment, stack.folder / "narrow.log")) as (api,),
            open_http(api.url) as http,
        ):
            yield NarrowApi(http, postgres, model)


async def test_many_streams_are_open_at_once_over_a_small_pool(
    narrow: NarrowApi, database: Database, stack: Stack
) -> None:
    host = await make_host(database)
    patient = await make_host(database, "gated")
    await price_chat_models(database, "gated", upstream="gate")
    begun, may_begin = asyncio.Semaphore(0), asyncio.Semaphore(BEGINNING_AT_ONCE)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        url = f"{narrow.http.base_url}".rstrip("/") + CHAT
        streaming = [asyncio.create_task(read_one(session, url, patient, begun, may_begin)) for _ in range(STREAMS)]
        all_begun = asyncio.create_task(until_begun(begun))
        ended, _ = await asyncio.wait({all_begun, *streaming}, return_when=asyncio.FIRST_COMPLETED)
        assert ended == {all_begun}
        assert narrow.gate.begun == STREAMS
        # Another request is served in the meantime.
        assert text_of(await answer_of(narrow.http, host, "count to 2")) == "1 2"
        narrow.gate.is_open.set()
        streams = await asyncio.gather(*streaming)

    assert {streamed.text for streamed in streams} == {BEGINNING + ENDING}
    assert {streamed.finish_reason for streamed in streams} == {"stop"}
    assert narrow.postgres.most_open <= POOL + OTHERS
    assert await books_of(database, patient) == charged(*[cost_of([USAGE])] * STREAMS)


async def until_begun(begun: asyncio.Semaphore) -> None:
    """Wait until every stream has begun."""
    for _ in range(STREAMS):
        await begun.acquire()


async def read_one(
    session: aiohttp.ClientSession,
    url: str,
    organization: Organization,
    begun: asyncio.Semaphore,
    may_begin: asyncio.Semaphore,
) -> Streamed:
    """Read a stream to its end. It begins when `may_begin` allows it, and then releases `begun`."""
    await may_begin.acquire()
    body = {"messages": [user("Hello")], "stream": True}
    async with session.post(url, json=body, headers=organization.headers) as response:
        raw = b""
        async for piece in response.content.iter_any():
            was_begun = BEGINNING.encode() in raw
            raw += piece
            if not was_begun and BEGINNING.encode() in raw:
                begun.release()
                may_begin.release()
        return read_stream(httpx.Response(response.status, headers=list(response.headers.items())), raw)
