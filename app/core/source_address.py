"""Where a request comes from, with the operator's proxies taken away."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def source_address(peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    """The address that a request comes from; None if it is not known.

    `X-Forwarded-For` is read from right to left for as long as the entry was written by a trusted proxy. A client can
    write anything before that.

    Args:
        peer: the address at the other end of the connection.
        forwarded_for: the header's values in order.
        trusted: the operator's proxies.
    """
    address = _parse(peer or "")
    entries = [entry.strip() for value in forwarded_for for entry in value.split(",")]
    while entries and address is not None and any(address in network for network in trusted):
        address = _parse(entries.pop())
    return address


@lru_cache(maxsize=1024)
def _parse(address: str) -> Address | None:
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
