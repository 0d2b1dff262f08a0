"""Clients that disconnect at any moment leave no slot taken and no credits held."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.core.database import Database
from tests.conftest import Stack
from tests.factories import Organization
from tests.faults.books import faults_of, until_ended
from tests.rate_limits.windows import redis_at, slot_leases
from tests.waiting import until

SLOWLY = {"messages": [{"role": "user", "content": "Slowly tell me of the sea"}]}
REQUESTS: list[dict[str, Any]] = [
    {"method": "POST", "url": "/v1/chat/completions", "json": SLOWLY},
    {"method": "POST", "url": "/v1/chat/completions", "json": SLOWLY | {"stream": True}},
    {"method": "POST", "url": "/v1/chat/completions", "json": SLOWLY, "headers": {"Idempotency-Key": "hang-up"}},
    {"method": "POST", "url": "/v1/chat/completions", "content": b"{not json"},
    {"method": "GET", "url": "/content"},
    {"method": "GET", "url": "/content/unknown"},
]


@pytest.fixture
async def stack_redis(stack: Stack) -> AsyncIterator[Redis]:
    opened = redis_at(stack.environment["REDIS_URL"])
    yield opened
    await opened.aclose(close_connection_pool=True)


async def test_clients_that_disconnect_leave_no_slot_and_no_hold(
    client: httpx.AsyncClient, stack_redis: Redis, database: Database, organization: Organization
) -> None:
    """A slot that was not released would be renewed until the process ends."""
    chance = random.Random(1)

    async def ask_and_leave(request: dict[str, Any]) -> None:
        asking = asyncio.create_task(client.request(**request))
        await asyncio.wait({asking}, timeout=chance.random() * 0.5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    async def is_no_slot_taken() -> bool:
        return await slot_leases(stack_redis, organization.id) == []

    await asyncio.gather(*(ask_and_leave(request) for request in REQUESTS * 10))

    await until(is_no_slot_taken)
    await until_ended(database, organization)
    assert await faults_of(database, organization) == []
