"""Which address a failed attempt is counted for, although anybody can write the header that names it."""

from collections.abc import Sequence
from ipaddress import ip_network

import pytest

from app.core.source_address import Network
from app.rate_limits.address import client_address

PROXIES: tuple[Network, ...] = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        # No proxy in between.
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9, 10.0.0.1"], "192.0.2.1"),
        # One proxy, which wrote the last entry.
        ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["203.0.113.9", "192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["10.9.9.9, 192.0.2.1"], "192.0.2.1"),
        # Several proxies, all trusted.
        ("10.0.0.1", ["203.0.113.9, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.1 ,  10.0.0.2,10.0.0.3"], "192.0.2.1"),
        ("2001:db8:ffff::1", ["192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        # Some write the port as well.
        ("10.0.0.1", ["192.0.2.1:4711"], "192.0.2.1"),
        ("10.0.0.1", ["[2001:db8:1:3::1]:4711"], "2001:db8:1:3::/64"),
        ("10.0.0.1", ["192.0.2.1:4711, 10.0.0.2:80"], "192.0.2.1"),
        ("10.0.0.1", [":4711"], "unknown"),
        # Only proxies.
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # An entry that is not an address: nothing before it can be trusted.
        ("10.0.0.1", ["192.0.2.1, not an address"], "unknown"),
        ("10.0.0.1", ["192.0.2.1, "], "unknown"),
        ("10.0.0.1", ["not an address, 192.0.2.1"], "192.0.2.1"),
        (None, ["192.0.2.1"], "unknown"),
        # One client commonly has a whole IPv6 network.
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", [], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["2001:db8:1:3::1"], "2001:db8:1:3::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        # IPv4 seen through a dual-stack socket.
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
    ],
)
def test_the_header_is_trusted_as_far_as_trusted_proxies_wrote_it(
    peer: str | None, forwarded_for: Sequence[str], address: str
) -> None:
    assert client_address(peer, forwarded_for, PROXIES) == address


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    assert client_address("127.0.0.1", ["192.0.2.1"], ()) == "127.0.0.1"
