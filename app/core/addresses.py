"""Where a server is: for requests, and for logs and errors, which show no user, no password and no query."""

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


def endpoint(base_url: str, path: str) -> str:
    """The URL of a path below a base URL. A query of the base URL stays behind the path."""
    parts = urlsplit(base_url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{path}").geturl()
