"""Where a server is: for requests, and for logs and errors, which show no user, no password and no query."""

from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

POSTGRES_PORT = 5432
REDIS_PORT = 6379
_HIGHEST_PORT = 65_535

Address: TypeAlias = tuple[str, int]


def address_of(url: str, default_port: int) -> str:
    """Host and port of a URL, or the path of its Unix socket."""
    parts = urlsplit(url)
    # The host of a Unix socket is a parameter, because a path cannot be written before the path.
    host = unquote(parts.hostname or "") or (parse_qs(parts.query).get("host") or [""])[-1]
    if not host or host.startswith("/"):
        return host or "localhost"
    return f"{host}:{parts.port or default_port}"


def http_address_of(url: str) -> str:
    """Host and port of an `http://` or `https://` URL."""
    return address_of(url, 80 if urlsplit(url).scheme == "http" else 443)


def hosts_of(netloc: str) -> Sequence[str]:
    """The hosts of a URL that may name several, each with its port if it has one. Empty if there is none."""
    return [host for host in netloc.rpartition("@")[2].split(",") if host]


def addresses_of(netloc: str, default_port: int) -> Sequence[Address]:
    """Host and port of each host of a URL.

    Raises:
        ValueError: a port is not a number from 1 to 65535.
    """
    return [_address(host, default_port) for host in hosts_of(netloc)]


def _address(host: str, default_port: int) -> Address:
    name, _, port = host.rpartition(":") if _has_port(host) else (host, "", "")
    if port and not (port.isascii() and port.isdigit()):
        # Python reads signs, and digits with _ between them, too.
        raise ValueError("this is no port")
    number = int(port) if port else default_port
    if not 0 < number <= _HIGHEST_PORT:
        raise ValueError(f"{number} is no port")
    return unquote(name.strip("[]")), number


def _has_port(host: str) -> bool:
    # The colons of an IPv6 address stand in brackets.
    return ":" in host.rpartition("]")[2]


def endpoint(base_url: str, path: str) -> str:
    """The URL of a path below a base URL. A query of the base URL stays behind the path."""
    parts = urlsplit(base_url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{path}").geturl()
