"""Checks of what happens after a client has left."""

from redis.asyncio import Redis

from app.core.redis_keys import redis_key
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization


async def is_free(redis: Redis, organization: Organization) -> bool:
    """Whether none of the organization's requests holds a slot any more."""
    return not await redis.zcard(redis_key("slots", organization.id))


async def check_ended_by_us(upstream: UpstreamLog, *models: str) -> None:
    """Check that the one call of these models, or of all, ended because our server hung up on the model."""
    (call,) = await upstream.ended(*models)
    assert call["outcome"] == "client_disconnected"
