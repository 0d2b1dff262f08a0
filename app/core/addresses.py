"""Where a server is, as it is shown in logs and errors: never with a user, a password or a query."""

from urllib.parse import parse_qs, urlsplit

POSTGRES_PORT = 5432
REDIS_PORT = 6379


def address_of(url: str, default_port: int) -> str:
    """Host and port of a URL, or the path of its Unix socket."""
    parts = urlsplit(url)
    # The host of a Unix socket is a parameter, because a path cannot be written before the path.
    host = parts.hostname or (parse_qs(parts.query).get("host") or [""])[-1]
    if not host or host.startswith("/"):
        return host or "localhost"
    return f"{host}:{parts.port or default_port}"


def http_address_of(url: str) -> str:
    """Host and port of an `http://` or `https://` URL."""
    return address_of(url, 80 if urlsplit(url).scheme == "http" else 443)
