"""A server that takes no writes any more is left by every connection of a process, whatever it says."""

from collections.abc import AsyncIterator

import pytest
from redis.exceptions import RedisError

from tests.queue.opening import OpenRedis
from tests.queue.refusing_redis import RefusingRedis, refusing_redis

LEAVING = [
    "READONLY You can't write against a read only replica.",
    "ERR Error running script (call to f_0): @user_script:1: -READONLY You can't write against a read only replica.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "NOREPLICAS Not enough good replicas to write.",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "CLUSTERDOWN Hash slot not served",
    "ASK 5 127.0.0.1:1",
    "TRYAGAIN Multiple keys request during rehashing of slot",
]
STAYING = ["OOM command not allowed when used memory > 'maxmemory'.", "ERR syntax error"]


@pytest.fixture
async def server() -> AsyncIterator[RefusingRedis]:
    async with refusing_redis() as running:
        yield running


@pytest.mark.parametrize("refusal", LEAVING)
async def test_all_pools_of_a_process_connect_again_after_one_refusal(
    server: RefusingRedis, open_pool: OpenRedis, refusal: str
) -> None:
    one, other = open_pool(server.url), open_pool(server.url)
    await one.ping()
    await other.ping()

    server.refusal = refusal
    with pytest.raises(RedisError):
        await one.set("key", "1")
    server.refusal = ""

    assert await other.ping()
    assert server.connections == 3
    assert await one.set("key", "1")
    assert server.connections == 4


@pytest.mark.parametrize("refusal", STAYING)
async def test_other_refusals_leave_the_connections(server: RefusingRedis, open_pool: OpenRedis, refusal: str) -> None:
    redis = open_pool(server.url)

    server.refusal = refusal
    with pytest.raises(RedisError):
        await redis.set("key", "1")
    await redis.ping()

    assert server.connections == 1


async def test_a_server_that_is_loading_is_connected_to_again(server: RefusingRedis, open_pool: OpenRedis) -> None:
    redis = open_pool(server.url)

    server.refusal = "LOADING Redis is loading the dataset in memory"
    with pytest.raises(RedisError):
        await redis.set("key", "1")
    server.refusal = ""

    assert await redis.set("key", "1")
    assert server.connections == 2


async def test_a_subscription_is_ended_after_a_refusal_elsewhere(server: RefusingRedis, open_pool: OpenRedis) -> None:
    """It only reads, and would stay at the old leader for ever."""
    redis = open_pool(server.url)
    async with redis.pubsub() as channels:
        await channels.subscribe("channel")
        assert await channels.get_message(timeout=1)

        server.refusal = LEAVING[0]
        with pytest.raises(RedisError):
            await redis.set("key", "1")

        with pytest.raises(RedisError):
            await channels.get_message(timeout=1)


async def test_one_refusal_of_many_is_enough(server: RefusingRedis, open_pool: OpenRedis) -> None:
    """Or each of a hundred requests would have the connections closed that the others have just opened."""
    redis = open_pool(server.url)
    await redis.ping()
    server.refusal = LEAVING[0]
    with pytest.raises(RedisError):
        await redis.set("key", "1")
    server.refusal = ""
    before = server.connections

    for _ in range(5):
        await redis.set("key", "1")

    assert server.connections == before + 1


async def test_of_two_servers_the_other_one_is_asked_after_a_refusal(
    server: RefusingRedis, open_pool: OpenRedis
) -> None:
    async with refusing_redis() as other:
        both = open_pool(f"{server.url.removesuffix('/0')},{other.url.removeprefix('redis://')}")
        server.refusal = LEAVING[0]
        with pytest.raises(RedisError):
            await both.set("key", "1")

        assert await both.set("key", "1")
        assert (server.connections, other.connections) == (1, 1)
