"""How this server reaches others: through which proxies, and with whose certificates. It is the same for everything."""

import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from app.core.proxies import Proxies, Proxy
from app.core.settings import Settings
from app.core.trust import tls_context

# In bytes, of a field in the head of a response. Some gateways send cookies that are longer than aiohttp's 8190.
LONGEST_FIELD: Final = 64 * 1024


@dataclass(frozen=True)
class Outgoing:
    """The operator's proxies, and the files with the authorities that are trusted beside the system's."""

    proxies: Proxies
    authorities: tuple[Path, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> "Outgoing":
        """What the settings say."""
        proxies = Proxies.of(
            settings.http_proxy.get_secret_value(),
            settings.https_proxy.get_secret_value(),
            settings.all_proxy.get_secret_value(),
            settings.no_proxy,
        )
        return cls(proxies, settings.own_authorities)

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """The context of all connections of those who do not change it."""
        return self.new_tls()

    def new_tls(self) -> ssl.SSLContext:
        """A context of its own for one that changes it."""
        return tls_context(self.authorities)

    def proxy_for(self, url: str) -> Proxy | None:
        """The proxy through which to ask for a URL; None if it is asked directly."""
        return self.proxies.for_url(url)

    def options_for(self, url: str) -> dict[str, Any]:
        """The arguments with which aiohttp sends a request for this URL through its proxy: none, if there is no proxy.

        They hold the headers of the request that the proxy wants, to which a caller adds its own.
        """
        proxy = self.proxy_for(url)
        if proxy is None:
            return {"headers": {}}
        # A proxy reads the headers of a request only if it is not encrypted. Otherwise it gets its own with CONNECT.
        if urlsplit(url).scheme == "https":
            return {"headers": {}, "proxy": proxy.url, "proxy_headers": proxy.headers}
        return {"headers": proxy.headers, "proxy": proxy.url}


DIRECT = Outgoing(Proxies({}))
