"""Behind one address a Valkey server becomes a replica, and another one the leader."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from arq import ArqRedis
from redis.exceptions import RedisError

from app.core.settings import Settings
from app.queue.open import open_redis
from devstack.valkey import Valkey
from tests.queue.opening import OpenRedis
from tests.queue.valkeys import PASSWORD, ConfiguredValkey, running

Write = Callable[[ArqRedis], Awaitable[Any]]


async def write_in_a_command(redis: ArqRedis) -> None:
    await redis.set("key", "1")


async def write_in_a_script(redis: ArqRedis) -> None:
    await redis.register_script("return redis.call('SET', KEYS[1], '1')")(keys=["key"])


async def write_in_a_transaction(redis: ArqRedis) -> None:
    async with redis.pipeline(transaction=True) as commands:
        commands.set("key", "1")
        await commands.execute()


WRITES: dict[str, Write] = {
    "command": write_in_a_command,
    "script": write_in_a_script,
    "transaction": write_in_a_transaction,
}


@pytest.fixture(scope="module")
def valkey(run_folder: Path) -> Iterator[Valkey]:
    """A Valkey that no other test uses."""
    server = Valkey(run_folder / "demoted-valkey", log=run_folder / "demoted-valkey.log", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("way", WRITES)
async def test_a_connection_to_a_server_that_has_become_a_replica_is_not_used_again(
    valkey: Valkey, environment: dict[str, str], way: str
) -> None:
    values = {**environment, "REDIS_URL": valkey.url}
    redis = open_redis(Settings.model_validate({name.lower(): value for name, value in values.items()}))
    try:
        await WRITES[way](redis)
        connection = await redis.client_id()
        # Its leader does not exist.
        await redis.replicaof("127.0.0.1", 1)

        with pytest.raises(RedisError):
            await WRITES[way](redis)

        assert await redis.client_id() != connection
        await redis.replicaof("NO", "ONE")
        await WRITES[way](redis)
    finally:
        await redis.aclose(close_connection_pool=True)


async def test_a_unix_socket_leads_to_its_server_and_no_other(open_pool: OpenRedis) -> None:
    # The path of a socket may have 107 bytes.
    with TemporaryDirectory() as folder:
        server = ConfiguredValkey(Path(folder) / "v", {"unixsocket": f"{folder}/s"})
        with running(server):
            redis = open_pool(f"unix://:{PASSWORD}@{folder}/s?db=2")
            await redis.set("key", "1")
            async with server.client() as direct:
                kept = await direct.info("keyspace")

    assert kept["db2"]["keys"] == 1
