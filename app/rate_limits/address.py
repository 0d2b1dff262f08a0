from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

# Whoever has one IPv6 address usually has a whole network of this size.
_IPV6_PREFIX = 64


def client_address(peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """The address that a request comes from, by which failed attempts are counted. Of IPv6, it is the /64 network.

    `X-Forwarded-For` is read from right to left for as long as the entry was written by a trusted proxy. A client can
    write anything before that.

    Args:
        peer: the address at the other end of the connection.
        forwarded_for: the header's values in order.
        trusted: the operator's proxies.
    """
    address = peer or "unknown"
    entries = [entry.strip() for value in forwarded_for for entry in value.split(",")]
    while entries and _is_in(address, trusted):
        address = entries.pop()
    return _network_of(address)


def is_trusted(peer: str | None, trusted: Sequence[Network]) -> bool:
    """Whether the other end of a connection is one of the operator's proxies."""
    return peer is not None and _is_in(peer, trusted)


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in networks)


def _network_of(address: str) -> str:
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, _IPV6_PREFIX), strict=False))
    return str(parsed or "unknown")


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(_without_port(address))
    except ValueError:
        return None
    # A socket for both versions shows an IPv4 peer as ::ffff:192.0.2.1. As IPv6, all of those would share one /64.
    return (parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None) or parsed


def _without_port(address: str) -> str:
    """The address without the port, which some proxies add: 192.0.2.1:4711, [2001:db8::1]:4711."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, _, port = address.rpartition(":")
    return host if port and ":" not in host and host else address
