"""A pair of Valkey servers behind one address: a leader, and a replica that can take over."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError

from chaos.relay import Relay, relaying
from devstack.private_files import write_private
from devstack.server import EmbeddedServer
from devstack.valkey import Valkey

_TIMEOUT = 2.0


class ValkeyPair:
    """The leader, which the product reaches by the relay's address, and its replica."""

    def __init__(self, leader: EmbeddedServer, replica: EmbeddedServer, relay: Relay) -> None:
        self.leader = leader
        self.replica = replica
        self._relay = relay
        self._follow(replica, leader)

    @property
    def url(self) -> str:
        """Where the product connects."""
        parts = urlsplit(self.leader.url)
        return self.leader.url.replace(f":{parts.port}", f":{self._relay.port}")

    def flush(self) -> None:
        """Let the leader forget everything."""
        # It may still be starting, and has nothing to forget then.
        with suppress(RedisError), self._connect(self.leader) as redis:
            redis.flushall()

    def demote(self) -> None:
        """Make the replica the leader. Clients that are connected to the old leader find that it refuses writes."""
        old, new = self.leader, self.replica
        with self._connect(new) as redis:
            redis.replicaof("NO", "ONE")
        self._relay.lead_to(_port(new))
        self._follow(old, new)
        self.leader, self.replica = new, old

    def _follow(self, replica: EmbeddedServer, leader: EmbeddedServer) -> None:
        with self._connect(replica) as redis:
            redis.config_set("masterauth", urlsplit(leader.url).password or "")
            redis.replicaof("127.0.0.1", str(_port(leader)))

    def _connect(self, server: EmbeddedServer) -> "Redis":
        return Redis.from_url(server.url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)


@contextmanager
def valkey_pair(leader: EmbeddedServer, folder: Path) -> Iterator[ValkeyPair]:
    """Start a replica of a running Valkey in a folder of its own, and put one address in front of both."""
    replica = Valkey(folder, log=folder.with_suffix(".log"), durable=False)
    replica.prepare()
    write_private(folder / "password", urlsplit(leader.url).password or "")
    with relaying(_port(leader)) as relay:
        try:
            replica.start()
            yield ValkeyPair(leader, replica, relay)
        finally:
            replica.stop()


def _port(server: EmbeddedServer) -> int:
    if server.port is None:
        raise RuntimeError(f"{server.name} was never started")
    return server.port
