"""What is to be seen once a client has left."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from redis.asyncio import Redis

from tests.chat.upstream import UpstreamLog
from tests.factories import Organization

# In which the provider is to see that nobody listens any more.
SECONDS: Final = 2.0


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    """Wait until something has become true."""
    async with asyncio.timeout(20):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


async def is_free(redis: Redis, organization: Organization) -> bool:
    """Whether none of the organization's requests holds a slot any more."""
    return not await redis.zcard(f"junis:slots:{organization.id}")


async def seconds_until_seen(upstream: UpstreamLog, left_at: datetime, *models: str) -> float:
    """How long the provider went on for nobody, in the one call of these models, or of all."""
    (call,) = await upstream.ended(*models)
    assert call["outcome"] == "client_disconnected"
    return (datetime.fromisoformat(call["ended_at"]) - left_at).total_seconds()
