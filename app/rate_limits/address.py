from collections.abc import Sequence
from ipaddress import IPv6Address, ip_network

from app.core.source_address import Network, source_address

# Whoever has one IPv6 address usually has a whole network of this size.
_IPV6_PREFIX = 64


def client_address(peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """The address by which failed attempts are counted; see `source_address`. Of IPv6, it is the /64 network.

    Args:
        peer: the address at the other end of the connection.
        forwarded_for: the header's values in order.
        trusted: the operator's proxies.
    """
    address = source_address(peer, forwarded_for, trusted)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address or "unknown")


def is_trusted(peer: str | None, trusted: Sequence[Network]) -> bool:
    """Whether the other end of a connection is one of the operator's proxies."""
    address = source_address(peer, (), ())
    return address is not None and any(address in network for network in trusted)
