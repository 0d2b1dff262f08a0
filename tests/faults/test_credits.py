"""A balance for seven requests pays for exactly seven of many concurrent ones, in one process or in several."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from decimal import Decimal

import httpx
import pytest

from app.core.database import Database
from app.core.settings import Settings
from app.credits.errors import InsufficientCreditsError
from app.generations.service import GenerationPolicy, GenerationRequest, request_generation
from app.queue.arq import ArqQueue
from app.queue.open import open_redis
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.faults.books import charges, content_statuses, faults_of, open_holds, until_ended
from tests.faults.conftest import Replicas
from tests.waiting import PATIENCE

CHAT = "/v1/chat/completions"
REQUESTS = 200
# Chats that are not streamed wait for the vendor within a time limit, which a busy machine would miss with more.
CHATS_AT_ONCE = 40
# One of the simulator's image models, at a price compared to which the cost of a chat is negligible.
DEAR = "simulator/image--output-string"
STALLING_AGENT = '[[agents]]\nname = "main"\nis_orchestrator = true\nmodel = "sim-chat--stall"\n'
CATALOG = f"""
[[models]]
name = "{DEAR}"
kind = "generation"
price = {{ per_call = 5, ceiling = 5 }}

[[models]]
name = "sim-chat--stall"
kind = "chat"
max_output_tokens = 1000
price = {{ per_million_prompt_tokens = 1, per_million_completion_tokens = 2 }}
"""


@pytest.fixture(scope="module", autouse=True)
async def _catalog(database: Database) -> None:
    await factories.import_catalog(database, CATALOG)


@pytest.fixture(params=["one process", "three processes"])
def base_urls(request: pytest.FixtureRequest) -> list[str]:
    """The base URLs of the API processes."""
    if request.param == "one process":
        stack: Stack = request.getfixturevalue("stack")
        return [stack.base_url]
    replicas: Replicas = request.getfixturevalue("replicas")
    return [replicas.base_url(number) for number in range(3)]


async def test_of_200_concurrent_generations_exactly_seven_are_accepted(stack: Stack, database: Database) -> None:
    organization = await factories.make_organization(database, credit="35")
    settings = Settings.model_validate({name.lower(): value for name, value in stack.environment.items()})
    databases = [Database.open(settings) for _ in range(4)]
    redis = open_redis(settings)
    wanted = GenerationRequest(organization.id, organization.user_id, None, None, DEAR, {"prompt": "seven"})

    async def generate(number: int) -> None:
        async with databases[number % 4].transaction() as tx:
            await request_generation(tx, ArqQueue(redis), GenerationPolicy.of(settings), wanted)

    outcomes = await asyncio.gather(*(generate(number) for number in range(REQUESTS)), return_exceptions=True)

    assert Counter(map(type, outcomes)) == {type(None): 7, InsufficientCreditsError: REQUESTS - 7}
    await until_ended(database, organization)
    assert await content_statuses(database, organization) == ["completed"] * 7
    assert list((await charges(database, organization)).values()) == [Decimal(5)] * 7
    assert await faults_of(database, organization) == []
    for each in databases:
        await each.close()
    await redis.aclose(close_connection_pool=True)


async def test_of_200_concurrent_chats_that_generate_exactly_seven_can_pay(
    database: Database, base_urls: list[str]
) -> None:
    organization = await factories.make_organization(database, credit=str(7 * 5 + 4))
    chat = {"messages": [{"role": "user", "content": f"Please make {DEAR} of a gale"}]}

    free = asyncio.Semaphore(CHATS_AT_ONCE)

    async def ask(client: httpx.AsyncClient, number: int) -> httpx.Response:
        async with free:
            return await client.post(base_urls[number % len(base_urls)] + CHAT, json=chat)

    async with client_of(organization) as client:
        responses = await asyncio.gather(*(ask(client, number) for number in range(REQUESTS)))

    assert {response.status_code for response in responses} == {200}
    texts = [response.json()["choices"][0]["message"]["content"] for response in responses]
    assert sum("Not enough credits for request" in text for text in texts) == REQUESTS - 7
    await until_ended(database, organization)
    assert await content_statuses(database, organization) == ["completed"] * 7
    charged = await charges(database, organization)
    assert sum(reference.startswith("generation:") for reference in charged) == 7
    assert len(charged) == REQUESTS + 7
    assert await faults_of(database, organization) == []


async def test_of_200_concurrent_chats_exactly_seven_are_admitted(database: Database, base_urls: list[str]) -> None:
    organization = await factories.make_organization(
        database, credit=str(7 * await hold_of_a_chat(database, base_urls[0])), agents=STALLING_AGENT
    )

    async with AsyncExitStack() as running:
        statuses = await open_streams(running, organization, base_urls, REQUESTS)

        # The seven are still running, each with its hold.
        assert statuses == {200: 7, 402: REQUESTS - 7}
        holds = await open_holds(database, organization)
        assert len(holds) == 7
        assert sum(holds) == (await factories.balance_of(database, organization)).balance

    await until_ended(database, organization)
    assert len(await charges(database, organization)) == 7
    assert await faults_of(database, organization) == []


def client_of(organization: Organization) -> httpx.AsyncClient:
    """A client without a limit on concurrent connections."""
    return httpx.AsyncClient(headers=organization.headers, timeout=PATIENCE, limits=httpx.Limits(max_connections=None))


async def hold_of_a_chat(database: Database, base_url: str) -> Decimal:
    """The amount held for one of the chats in this test."""
    organization = await factories.make_organization(database, agents=STALLING_AGENT)
    async with AsyncExitStack() as running:
        await open_streams(running, organization, [base_url], 1)
        (amount,) = await open_holds(database, organization)
    return amount


async def open_streams(
    running: AsyncExitStack, organization: Organization, base_urls: list[str], count: int
) -> Counter[int]:
    """Begin many chats whose streams do not end; returns how often each status came."""
    chat = {"messages": [{"role": "user", "content": "Say something"}], "stream": True}
    client = await running.enter_async_context(client_of(organization))
    urls = (base_urls[number % len(base_urls)] + CHAT for number in range(count))
    streams = (running.enter_async_context(client.stream("POST", url, json=chat)) for url in urls)
    return Counter(response.status_code for response in await asyncio.gather(*streams))
