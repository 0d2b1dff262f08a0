"""A pair of real Valkey servers: the one behind the address changes, and the old leader refuses writes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ReadOnlyError

from chaos.valkeys import ValkeyPair, valkey_pair
from devstack.valkey import Valkey
from tests.waiting import wait_until


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[ValkeyPair]:
    leader = Valkey(tmp_path / "leader", log=tmp_path / "leader.log", durable=False)
    leader.start()
    try:
        with valkey_pair(leader, tmp_path / "replica") as made:
            yield made
    finally:
        leader.stop()


def test_a_demoted_leader_refuses_writes_and_new_connections_reach_the_new_one(pair: ValkeyPair) -> None:
    with Redis.from_url(pair.url) as before, Redis.from_url(pair.url) as after:
        before.set("known", "1")
        wait_until(lambda: Redis.from_url(pair.replica.url).get("known") == b"1")

        old = pair.leader
        pair.demote()

        assert pair.replica is old
        with pytest.raises(ReadOnlyError):
            before.set("late", "1")
        after.set("new", "1")
        assert after.get("known") == b"1"
        assert wait_until(lambda: Redis.from_url(old.url).get("new") == b"1")


def test_the_new_leader_can_be_demoted_too(pair: ValkeyPair) -> None:
    first = pair.leader
    pair.demote()
    pair.demote()

    with Redis.from_url(pair.url) as redis:
        redis.set("known", "1")
    assert pair.leader is first
    assert Redis.from_url(first.url).get("known") == b"1"


def test_a_flush_forgets_everything(pair: ValkeyPair) -> None:
    with Redis.from_url(pair.url) as redis:
        redis.set("known", "1")
        pair.flush()
        assert redis.get("known") is None
