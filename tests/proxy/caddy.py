"""The real proxy with its real configuration, in front of API processes of this machine."""

import os
import signal
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack import process
from devstack.ports import free_port, is_free
from devstack.product import ROOT
from tests.proxy.names import name_server
from tests.waiting import PATIENCE, wait_until

_CADDY = Path(sys.executable).with_name("caddy")
_CADDYFILE = ROOT / "deploy" / "Caddyfile"


@dataclass(frozen=True)
class Proxy:
    """A running proxy. What `addresses` holds is what the name `api` stands for."""

    port: int
    tls: str
    addresses: list[str]
    log: Path
    data: Path

    @property
    def url(self) -> str:
        return f"{'http' if self.tls == 'off' else 'https'}://localhost:{self.port}"

    def trust(self) -> ssl.SSLContext:
        """A context that trusts the proxy's own authority."""
        authority = self.data / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        wait_until(authority.exists)
        return ssl.create_default_context(cafile=str(authority))


@contextmanager
def running_proxy(folder: Path, api_port: int, *addresses: str, tls: str = "off", **settings: str) -> Iterator[Proxy]:
    """Run the proxy on a free port, with all its files in a folder. The APIs listen at the addresses, on one port."""
    listed = [*addresses]
    folder.mkdir(parents=True, exist_ok=True)
    proxy = Proxy(free_port(), tls, listed, folder / "caddy.log", folder / "data")
    with name_server(listed) as names:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_DATA_HOME": str(proxy.data),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PROXY_ADMIN": str(folder / "admin.sock"),
            "PROXY_PORT": str(proxy.port),
            "PROXY_HTTP_PORT": str(free_port()),
            "API_NAME": "api.test",
            "API_PORT": str(api_port),
            "API_RESOLVERS": f"resolvers 127.0.0.1:{names}",
            "TLS": tls,
            **settings,
        }
        command = [str(_CADDY), "run", "--config", str(_CADDYFILE), "--adapter", "caddyfile"]
        server = process.spawn(command, env=env, log=proxy.log, death_signal=signal.SIGKILL)
        try:
            wait_until(lambda: server.poll() is not None or not is_free("127.0.0.1", proxy.port))
            assert server.poll() is None, f"the proxy did not start:\n{proxy.log.read_text()}"
            yield proxy
        finally:
            process.stop([(server, signal.SIGTERM)], grace=PATIENCE)
