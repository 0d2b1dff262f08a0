"""Where the server of a URL is, as far as that may be shown, and whether it is near."""

import asyncio
import socket
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit


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
    return not address.is_global and not address.is_multicast
