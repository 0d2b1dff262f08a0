"""Everything that the product keeps in Redis works in a cluster, and follows its keys to another node."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
from arq import ArqRedis
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from app.core.redis_keys import TAG
from app.generations.claims import Claimed
from app.predictions.budget import VendorBudget
from app.queue.arq import ArqQueue, queue_of
from app.queue.heartbeat import beat, read_loops
from app.queue.probe import probe_redis
from app.queue.protocol import WakeKind
from app.rate_limits.decisions import Limits
from app.rate_limits.limiter import RateLimiter
from tests.queue.opening import OpenRedis
from tests.queue.valkeys import ConfiguredValkey, running, tell
from tests.waiting import until
from worker.process.jobs import WakingWorker
from worker.process.lanes import Lanes
from worker.process.loops import Pulse

SLOT = key_slot(TAG.encode())
LIMITS = Limits("org-1", "key-1", per_minute=3, concurrent=10, key_per_minute=2, key_per_hour=10)


@pytest.fixture(scope="module")
def nodes(run_folder: Path) -> Iterator[list[ConfiguredValkey]]:
    """Two nodes: the first has the slot of our keys, the second all others."""
    settings = {"cluster-enabled": "yes", "cluster-node-timeout": "1000", "cluster-allow-replica-migration": "no"}
    servers = [ConfiguredValkey(run_folder / f"node-{number}", settings) for number in range(2)]
    with running(*servers):
        yield servers


@pytest.fixture(scope="module")
async def clients(nodes: list[ConfiguredValkey]) -> AsyncIterator[list[Redis]]:
    """Clients of the nodes, which form a cluster now."""
    opened = [node.client() for node in nodes]
    await tell(opened[0], "CLUSTER", "ADDSLOTS", SLOT)
    await tell(opened[1], "CLUSTER", "ADDSLOTSRANGE", 0, SLOT - 1, SLOT + 1, 16383)
    await tell(opened[0], "CLUSTER", "MEET", "127.0.0.1", nodes[1].port)
    for client in opened:
        await until(partial(is_whole, client))
    yield opened
    for client in opened:
        await client.aclose()


async def is_whole(client: Redis) -> bool:
    info = await tell(client, "CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_known_nodes:2" in info


@pytest.fixture(params=[0, 1], ids=["node with our keys", "other node"])
async def redis(
    request: pytest.FixtureRequest, nodes: list[ConfiguredValkey], clients: list[Redis], open_pool: OpenRedis
) -> ArqRedis:
    """The product's pool; its URL names one of the nodes."""
    await clients[0].flushall()
    return open_pool(nodes[request.param].url)


async def test_all_limits_of_a_request_are_decided_together(redis: ArqRedis, clients: list[Redis]) -> None:
    limiter = RateLimiter(redis)

    decided = [await limiter.admit(LIMITS) for _ in range(3)]
    await limiter.renew()

    assert [decision.refusal for decision, _ in decided] == [None, None, "minute"]
    assert await limiter.is_shared()
    assert await clients[0].zcard(f"junis:minute:{TAG}:org-1") == 2
    assert await clients[0].zcard(f"junis:slots:{TAG}:org-1") == 2
    first, slot = decided[0]
    assert slot
    assert (await limiter.uncount(LIMITS, slot)).organization.used == first.organization.used
    await limiter.release(slot)
    assert (await limiter.fail("192.0.2.1", 1), await limiter.fail("192.0.2.1", 1))[1][0] is False


async def test_wakes_heartbeats_and_the_budget_work(redis: ArqRedis) -> None:
    ran = asyncio.Event()

    async def claim(_limit: int) -> Claimed[str]:
        ran.set()
        return Claimed([], is_final=True)

    async def nothing(*_: object) -> None:
        pass

    wake = asyncio.Event()
    lanes = Lanes(claim, nothing, 1, 1.0, nothing, wake)
    worker = WakingWorker(WakeKind.START, lanes, redis, wake, Pulse(), set())
    async with redis.pubsub() as channels:
        await channels.subscribe("junis:wakes:{junis}:start:channel")
        await ArqQueue(redis).send(WakeKind.START)
        assert await redis.zcard(queue_of(WakeKind.START)) == 1
        await worker._poll_iteration()
        await asyncio.gather(*worker.tasks.values())
        assert [(await channels.get_message(timeout=5) or {})["type"] for _ in range(2)] == ["subscribe", "message"]

    assert ran.is_set()
    assert (worker.jobs_complete, worker.jobs_failed) == (1, 0)
    await beat(redis, "one", {"start": True})
    assert await read_loops(redis) == {"start": True}
    budget = VendorBudget(redis, "token", creates_per_minute=60, reads_per_minute=60)
    await budget.denied("no money")
    denial = await budget.denial()
    assert denial
    assert denial[0] == "no money"
    assert not await budget.wait_before_create()
    assert (await probe_redis(redis)).is_ok
    assert {key_slot(key) for key in await redis.keys("*")} == {SLOT}


async def test_our_keys_are_followed_to_another_node(
    nodes: list[ConfiguredValkey], clients: list[Redis], open_pool: OpenRedis
) -> None:
    await clients[0].flushall()
    redis = open_pool(nodes[0].url)
    limiter = RateLimiter(redis)
    await limiter.admit(LIMITS)

    await move(clients, source=0, target=1)
    moved = await limiter.is_shared() or await limiter.is_shared()
    await limiter.admit(LIMITS)

    assert moved
    assert await clients[1].zcard(f"junis:minute:{TAG}:org-1") == 1
    await move(clients, source=1, target=0)


async def move(clients: list[Redis], *, source: int, target: int) -> None:
    """Give our slot to another node, without its keys."""
    await clients[source].flushall()
    owner = (await tell(clients[target], "CLUSTER", "MYID")).decode()
    for client in (clients[target], clients[source]):
        await tell(client, "CLUSTER", "SETSLOT", SLOT, "NODE", owner)


async def test_a_cluster_without_a_node_for_our_keys_is_an_error(
    nodes: list[ConfiguredValkey], clients: list[Redis], open_pool: OpenRedis
) -> None:
    for client in clients:
        await tell(client, "CLUSTER", "DELSLOTS", SLOT)
    redis = open_pool(nodes[0].url)

    with pytest.raises(RedisError, match="CLUSTERDOWN"):
        await redis.set(f"junis:probe:{TAG}", "")

    assert not await RateLimiter(redis).is_shared()
