"""Where the server of a URL is, as far as that may be shown, and whether it is near."""

import asyncio
import socket
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

# This machine, its links, private networks and those of VPNs. More than these is not of the internet: a proxy that
# stands in for a whole machine gives names of the internet addresses from 198.18.0.0/15.
_PRIVATE = tuple(
    ip_network(network)
    for network in (
        *("0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
        *("100.64.0.0/10", "::/128", "::1/128", "fe80::/10", "fc00::/7"),
    )
)


def shown_url(url: str) -> str:
    """An `http://` or `https://` URL as it may be shown: without user, password, query and fragment."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    netloc = host if parts.port is None else f"{host}:{parts.port}"
    return parts._replace(netloc=netloc, query="", fragment="").geturl()


async def is_near(url: str) -> bool:
    """Whether the host of a URL is this machine or in a private network: all addresses of its name are.

    A name that cannot be resolved is not.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(urlsplit(url).hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(_is_private(str(address[0])) for *_, address in found)


def _is_private(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in _PRIVATE)
