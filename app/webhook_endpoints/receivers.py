"""Which receivers may be sent to: those of the internet over TLS, and those that the operator has allowed.

An organization says where its events go, so nothing of the operator's own network may be reached that way. A name says
little: it may lead anywhere, and elsewhere a moment later. So addresses are judged where a connection is made.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self

from app.core.errors import InvalidRequestError
from app.core.url_checks import http_parts, is_host_name

LONGEST_URL: Final = 2048
# The registry calls some of these global. They lead to the IPv4 address that is inside of them, or to a relay nearby.
_TRANSITIONAL: Final = tuple(
    ip_network(network)
    for network in (
        *("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "fec0::/10"),
        *("192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15"),
    )
)


def is_public(address: str) -> bool:
    """Whether an address is of the internet: not private, loopback, link-local, shared, multicast or transitional."""
    found = _unmapped(ip_address(address.partition("%")[0]))
    return found.is_global and not found.is_multicast and not any(found in network for network in _TRANSITIONAL)


@dataclass(frozen=True)
class Receivers:
    """What the operator allows beside the internet: names of hosts, in lower case, and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> Self:
        """The receivers in the setting `WEBHOOK_PRIVATE_RECEIVERS`."""
        parsed = [(entry, network_of(entry)) for entry in entries]
        return cls(
            frozenset(entry for entry, network in parsed if network is None),
            tuple(network for _, network in parsed if network is not None),
        )

    def allows_host(self, host: str) -> bool:
        """Whether the operator has allowed this name, wherever it leads."""
        return host.lower().rstrip(".") in self.hosts

    def allows_address(self, address: str) -> bool:
        """Whether a connection may be made to this address."""
        return is_public(address) or self._is_listed(address)

    def check_url(self, url: str) -> str:
        """A URL that events may be sent to.

        Raises:
            InvalidRequestError: it is none, is not encrypted, has a password, or names a private address.
        """
        try:
            if len(url) > LONGEST_URL:
                raise ValueError(f"must not be longer than {LONGEST_URL} characters")
            return self._checked(url)
        except ValueError as error:
            raise InvalidRequestError(f"The URL {error}", param="url") from None

    def _checked(self, url: str) -> str:
        parts = http_parts(url)
        if "@" in parts.netloc:
            raise ValueError("must have no user and no password: events are signed")
        host = parts.hostname or ""
        is_allowed = self.allows_host(host) or (_is_address(host) and self._is_listed(host))
        if parts.scheme != "https" and not is_allowed:
            raise ValueError("must begin with https://")
        if not _is_plain(parts.netloc, host):
            raise ValueError("must have the name of a host, or an address in its usual form")
        if not is_allowed and (_is_local_name(host) or (_is_address(host) and not is_public(host))):
            raise ValueError("must not lead to a private address")
        return url

    def _is_listed(self, address: str) -> bool:
        found = _unmapped(ip_address(address.partition("%")[0]))
        return any(found in network for network in self.networks)


def network_of(entry: str) -> IPv4Network | IPv6Network | None:
    """The network that is written like this, or the one of a single address; None for the name of a host."""
    try:
        return ip_network(entry.strip("[]"))
    except ValueError:
        return None


def _is_plain(netloc: str, host: str) -> bool:
    """Whether all parsers of URLs read the same host: a name, an IPv4 address of four numbers, or one in brackets."""
    if re.fullmatch(r"\[[^\[\]]*\](?::[0-9]*)?", netloc):
        return ":" in host and _is_address(host)
    return "[" not in netloc and (_is_address(host) or is_host_name(host))


def _is_local_name(host: str) -> bool:
    return host.rstrip(".").rpartition(".")[2] == "localhost"


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that is written as one of IPv6 leads to the same place."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
