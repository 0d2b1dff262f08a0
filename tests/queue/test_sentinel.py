"""The product asks Sentinels where the leader is, and asks again once the one that it knows takes no writes."""

import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.redis_errors import explain
from devstack.ports import free_port
from tests.queue.opening import OpenRedis
from tests.queue.valkeys import PASSWORD, ConfiguredValkey, Sentinel, running, tell
from tests.waiting import until

_KEY = "key"


@dataclass(frozen=True)
class Watched:
    """A leader, its replica, and a Sentinel that watches them."""

    leader: ConfiguredValkey
    replica: ConfiguredValkey
    sentinel: Sentinel

    @property
    def url(self) -> str:
        """One of the Sentinels does not respond."""
        query = f"?sentinel_password={PASSWORD}"
        return f"redis+sentinel://:{PASSWORD}@127.0.0.1:{free_port()},127.0.0.1:{self.sentinel.port}/main/0{query}"


@pytest.fixture(scope="module")
def servers(run_folder: Path) -> Iterator[Watched]:
    leader, replica = (ConfiguredValkey(run_folder / f"watched-{number}", {}) for number in range(2))
    sentinel = Sentinel(run_folder / "sentinel")
    with running(leader, replica, sentinel):
        yield Watched(leader, replica, sentinel)


@pytest.fixture(scope="module")
async def watched(servers: Watched) -> Watched:
    async with servers.replica.client() as replica:
        await replica.replicaof("127.0.0.1", servers.leader.port)
    await watch(servers, servers.leader)
    return servers


async def watch(servers: Watched, leader: ConfiguredValkey) -> None:
    """Tell the Sentinel who the leader is."""
    async with servers.sentinel.client() as sentinel:
        await tell(sentinel, "SENTINEL", "MONITOR", "main", "127.0.0.1", leader.port, 1)
        await tell(sentinel, "SENTINEL", "SET", "main", "auth-pass", PASSWORD)


async def has_key(client: Redis) -> bool:
    return bool(await client.exists(_KEY))


async def test_writes_follow_the_leader(watched: Watched, open_pool: OpenRedis) -> None:
    redis = open_pool(watched.url)
    await redis.set(_KEY, "1")
    async with watched.leader.client() as old, watched.replica.client() as new, watched.sentinel.client() as sentinel:
        assert await has_key(old)
        await tell(sentinel, "SENTINEL", "REMOVE", "main")
        await new.replicaof("NO", "ONE")
        await old.replicaof("127.0.0.1", watched.replica.port)
        await watch(watched, watched.replica)
        await new.delete(_KEY)

        with pytest.raises(RedisError):
            await redis.set(_KEY, "2")
        await redis.set(_KEY, "3")

        assert await new.get(_KEY) == b"3"


async def test_a_leader_that_no_sentinel_knows_is_an_error(watched: Watched, open_pool: OpenRedis) -> None:
    redis = open_pool(watched.url.replace("/main/", "/other/"))

    with pytest.raises(RedisError, match="No master found for 'other'") as unknown:
        await redis.ping()

    shown = explain(unknown.value, redis)
    assert shown.startswith("other of the Sentinels 127.0.0.1:")
    assert PASSWORD not in shown


if os.environ.get("FULL"):

    async def test_writes_follow_a_failover_of_the_sentinels(watched: Watched, open_pool: OpenRedis) -> None:
        redis = open_pool(watched.url)
        leader = redis.connection_pool.connection_kwargs["leader"]
        await redis.set(_KEY, "1")
        before = await leader.find()

        async def is_failed_over() -> bool:
            async with watched.sentinel.client() as sentinel:
                await tell(sentinel, "SENTINEL", "FAILOVER", "main")
            return True

        async def is_written() -> bool:
            await redis.set(_KEY, "2")
            return bool(await leader.find() != before)

        # A Sentinel has to get to know the replica first, and nobody is the leader while it makes another one.
        await until(lambda: succeeds(is_failed_over))
        await until(lambda: succeeds(is_written))

    async def succeeds(step: Callable[[], Awaitable[bool]]) -> bool:
        try:
            return await step()
        except RedisError:
            return False
