"""Where the Redis server is that takes writes: asked of Sentinels, learned from a cluster, or as REDIS_URL says."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio.sentinel import Sentinel
from redis.crc import key_slot
from redis.exceptions import RedisError

from app.core.addresses import Address
from app.core.redis_keys import TAG
from app.core.redis_url import RedisAddress

# A limit of a request waits for a second at most, in which a Sentinel that is gone must not stand in the way.
_SENTINEL_SECONDS = 0.3
_SLOT = key_slot(TAG.encode())


class Leader:
    """The server that takes writes. All connections of a process share what one of them has found out.

    Connections carry the `term` in which they were made. Once one of them learns that its server is no leader any
    more, a new term begins, and the connections of earlier terms are not used again.
    """

    def __init__(self, address: RedisAddress) -> None:
        self._known = tuple(address.addresses)
        self._addresses = self._known
        self._name = ""
        self._sentinel: Any = None
        self._asked: Sequence[Address] = ()
        if address.sentinels:
            self._asked = address.sentinels.addresses
            timeouts = {"socket_timeout": _SENTINEL_SECONDS, "socket_connect_timeout": _SENTINEL_SECONDS}
            options = {**timeouts, **address.sentinels.options}
            # The client is untyped.
            self._sentinel = Sentinel(address.sentinels.addresses, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
            self._name = address.sentinels.leader
        self.term = 0

    @property
    def shown(self) -> str:
        """Where it is, for an operator; empty for a Unix socket."""
        known = ", ".join(f"{host}:{port}" for host, port in self._asked or self._addresses[:1])
        return f"{self._name} of the Sentinels {known}" if self._asked else known

    async def find(self) -> Address | None:
        """Where to connect to now; None for a Unix socket.

        Raises:
            RedisConnectionError: no Sentinel knows a leader.
        """
        if self._sentinel is None:
            return self._addresses[0] if self._addresses else None
        host, port = await self._sentinel.discover_master(self._name)
        return str(host), int(port)

    def leave(self, term: int, address: Address | None) -> None:
        """A connection of this term has learned that the server at its address is no leader: find it again."""
        if term == self.term:
            self.term += 1
            self.skip(address)

    def skip(self, address: Address | None) -> None:
        """Nobody responds at this address, or no leader: try the others before it."""
        if address is not None and address in self._addresses:
            others = [other for other in self._addresses if other != address]
            self._addresses = (*others, address)

    def learn(self, owner: Address, nodes: Sequence[Address] = ()) -> None:
        """Our keys are this node's of a cluster; the others know who has them if it is gone."""
        known = nodes or self._addresses
        self._addresses = tuple(dict.fromkeys((owner, *known, *self._known)))

    async def close(self) -> None:
        """Close the connections to the Sentinels."""
        for sentinel in self._sentinel.sentinels if self._sentinel else ():
            with suppress(RedisError, OSError):
                await sentinel.aclose()


def owner_of_our_slot(slots: Any, here: Address) -> tuple[Address, Sequence[Address]] | None:
    """The node that has our keys, and all nodes, from the response to CLUSTER SLOTS; None if nobody has them.

    Args:
        slots: a list of lists: first slot, last slot, then for each node a list of host, port and more.
        here: the node that has responded; a host that it does not name is its own.
    """
    ranges = [(first, last, [_address(node, here) for node in nodes]) for first, last, *nodes in slots]
    owner = next((nodes[0] for first, last, nodes in ranges if first <= _SLOT <= last), None)
    if owner is None:
        return None
    return owner, list(dict.fromkeys(_every(nodes for _, _, nodes in ranges)))


def _every(lists: Iterator[list[Address]]) -> Iterator[Address]:
    for addresses in lists:
        yield from addresses


def _address(node: Sequence[Any], here: Address) -> Address:
    host = (node[0] or b"").decode()
    return (here[0] if host in {"", "?"} else host), int(node[1])


def moved_to(error: str, here: Address) -> Address | None:
    """The address in `MOVED SLOT HOST:PORT`; None if it is another error."""
    words = error.partition("MOVED ")[2].split()
    host, _, port = words[1].rpartition(":") if len(words) > 1 else ("", "", "")
    return (host.strip("[]") or here[0], int(port)) if port.isdecimal() else None
