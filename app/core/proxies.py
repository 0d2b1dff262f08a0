"""Which proxy a request goes through: the rules of `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.

They are the same for everything that this server asks, whatever library does it. Libraries differ in these rules, and
none of ours knows all of them.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"^https?://", re.IGNORECASE)
# Of an IPv4 address: `10.`, `192.168.*`.
_BEGINNING = re.compile(r"(\d{1,3}\.){1,3}\*?")
_ENTRY = re.compile(r"(?P<host>\[[^\]]+\]|[^\[\]:]+)(?::(?P<port>\d+))?")


@dataclass(frozen=True)
class Proxy:
    """A proxy.

    Attributes:
        url: where it is, without a user and a password.
        authorization: the value of `Proxy-Authorization`, if it wants one; it is a secret.
    """

    url: str
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def at(cls, address: str) -> "Proxy":
        """The proxy at a URL that may have a user and a password."""
        parts = urlsplit(address)
        plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        if parts.username is None:
            return cls(plain)
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return cls(plain, f"Basic {b64encode(credentials.encode()).decode()}")

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the proxy itself wants."""
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}


@dataclass(frozen=True)
class _DirectHosts:
    """What one entry of `NO_PROXY` names: a host and all below it, a network or an address; on one port, or on all."""

    host: str
    port: int | None

    def matches(self, host: str, port: int) -> bool:
        if self.port not in {None, port}:
            return False
        address = _address(host)
        if address is None:
            return host == self.host or host.endswith(f".{self.host}")
        try:
            return address in ip_network(self.host, strict=False)
        except ValueError:
            return False


@dataclass(frozen=True)
class Proxies:
    """The proxies by the scheme of what is asked, and the hosts that are asked directly."""

    by_scheme: dict[str, Proxy]
    direct: tuple[_DirectHosts, ...] = ()
    is_unused: bool = False

    @classmethod
    def of(cls, http: str, https: str, all_others: str, no_proxy: str) -> "Proxies":
        """The proxies at these URLs, each of which may be empty.

        `no_proxy` is a list with commas or spaces, or with semicolons or bars as Windows and Java write it. Quotes mean
        nothing: Docker passes on those of an `--env-file`.
        """
        addresses = {"http": http or all_others, "https": https or all_others}
        entries = [entry for entry in re.split(r"[\s,;|\"']+", no_proxy) if entry]
        return cls(
            {scheme: Proxy.at(address) for scheme, address in addresses.items() if address},
            tuple(found for entry in entries for found in _parsed(entry)),
            is_unused="*" in entries,
        )

    def for_url(self, url: str) -> Proxy | None:
        """The proxy through which to ask for a URL, or None if its server is asked directly.

        This machine is always asked directly: for a proxy, `localhost` would be another one.
        """
        parts = urlsplit(url)
        proxy = self.by_scheme.get(parts.scheme)
        if proxy is None or self.is_unused:
            return None
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or _PORTS[parts.scheme]
        is_direct = _is_this_machine(host) or any(each.matches(host, port) for each in self.direct)
        return None if is_direct else proxy


def _parsed(entry: str) -> Iterator[_DirectHosts]:
    """The meaning of an entry: `example.com`, `.example.com:8080`, `10.0.0.0/8`, `10.*`, `fd00::1`, `[fd00::1]:8080`.

    Of a URL its host and port count.
    """
    entry = _SCHEME.sub("", entry).rstrip("/")
    if begin := _BEGINNING.fullmatch(entry):
        numbers = begin[0].rstrip(".*").split(".")
        yield _DirectHosts(f"{'.'.join([*numbers, '0', '0', '0'][:4])}/{8 * len(numbers)}", None)
    elif entry.count(":") > 1 and not entry.startswith("["):
        yield _DirectHosts(entry.lower(), None)
    elif match := _ENTRY.fullmatch(entry):
        host = match["host"].strip("[]").removeprefix("*").strip(".").lower()
        if host:
            yield _DirectHosts(host, int(match["port"]) if match["port"] else None)


def _is_this_machine(host: str) -> bool:
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is; None if it is a name."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
