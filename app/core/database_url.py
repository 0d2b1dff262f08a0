"""DATABASE_URL in the forms that clients of Postgres use, and what the driver is told of it."""

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from app.core.addresses import hosts_of

_DRIVERS = ("asyncpg", "psycopg", "psycopg2", "psycopg_async")
SCHEMES = ("postgresql", "postgres")
SCHEMES_WITH_DRIVERS = tuple(f"postgresql+{driver}" for driver in _DRIVERS)

# What the driver itself reads in a URL.
_OF_DRIVER = (
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "passfile",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "sslnegotiation",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
)
# What Postgres is told when a session begins.
_OF_SESSION = ("application_name", "options")
_OURS = ("ssl", "connect_timeout", "target_session_attrs", "channel_binding")
# What is done anyway, or means nothing to this driver.
_IDLE = (
    "fallback_application_name",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "sslcompression",
    "sslsni",
    "gssencmode",
    "krbsrvname",
    "client_encoding",
    "load_balance_hosts",
)
_KNOWN = frozenset((*_OF_DRIVER, *_OF_SESSION, *_OURS, *_IDLE))
_SHOWN = ("host", "port", "sslmode", "sslrootcert", *_OF_SESSION, "connect_timeout", "target_session_attrs")
_POOLER_HINT = "for a pooler in transaction mode, set DATABASE_POOLER=transaction and DATABASE_DIRECT_URL"
_SCHEMA_HINT = "for a schema, write options=-csearch_path%3DNAME"
_SIZE_HINT = "for the size of the pool, set DATABASE_POOL_SIZE"
_HINTS = MappingProxyType(
    {
        "pgbouncer": _POOLER_HINT,
        "prepared_statement_cache_size": _POOLER_HINT,
        "statement_cache_size": _POOLER_HINT,
        "prepareThreshold": _POOLER_HINT,
        "schema": _SCHEMA_HINT,
        "currentSchema": _SCHEMA_HINT,
        "search_path": _SCHEMA_HINT,
        "pool_size": _SIZE_HINT,
        "connection_limit": _SIZE_HINT,
    }
)

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSL_WORDS = MappingProxyType({"true": "require", "1": "require", "false": "disable", "0": "disable"})
# The server writes: a standby is of no use to it.
_SESSIONS = ("any", "read-write", "primary")
_BINDINGS = ("disable", "prefer", "require")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
_OF_THE_SYSTEM = "system"
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_SHORTEST_SECONDS = 2.0
# Neon's own pooler is in transaction mode, and has the name of the database's host with this at its end.
_NEON_POOLER = re.compile(r"-pooler(?=\.[^/]*\bneon\.(?:tech|build)\b)")


@dataclass(frozen=True)
class DatabaseAddress:
    """Where Postgres is, and how to speak to it.

    Attributes:
        urls: what the driver understands, one for each host, in the order in which they are tried.
        session: what Postgres is told when a session begins.
        target: which of the hosts will do: `any`, `read-write` or `primary`.
        connect_seconds: how long to wait for each host, if the URL says so.
        is_pooled: whether a pooler in transaction mode stands in between: it keeps nothing from one transaction to
            the next.
    """

    urls: Sequence[str]
    session: Mapping[str, str] = field(default_factory=dict)
    target: str = "any"
    connect_seconds: float | None = None
    is_pooled: bool = False


def database_parameters(value: str) -> str:
    """Allow only parameters that are understood, with values that are.

    Raises:
        ValueError: says which one is not, without showing the URL.
    """
    url = urlsplit(value)
    try:
        parameters = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise ValueError("after the ?, parameters must be written as name=value") from None
    for name, given in parameters:
        if name not in _KNOWN:
            hint = _HINTS.get(name, f"supported: {', '.join(_SHOWN)} and others of libpq")
            raise ValueError(f"the parameter {name} is not supported; {hint}")
        _check(name, given)
    if any(not host.startswith(":") for host in hosts_of(url.netloc)) and any(name == "host" for name, _ in parameters):
        raise ValueError("the host is given both before the path and as a parameter")
    return value


def database_address(value: str, *, is_pooled: bool = False) -> DatabaseAddress:
    """Read a URL that `database_parameters` has checked."""
    url = urlsplit(value)
    given = dict(parse_qsl(url.query))
    parameters = {name: text for name, text in given.items() if name in _OF_DRIVER}
    if mode := given.get("sslmode", given.get("ssl", "")).lower():
        parameters["sslmode"] = _SSL_WORDS.get(mode, mode)
    if given.get("sslrootcert") == _OF_THE_SYSTEM:
        parameters["sslrootcert"] = _system_authorities() or ""
    plain = url._replace(scheme="postgresql", query="", fragment="").geturl()
    urls = [f"{one}?{urlencode(query, quote_via=quote)}" if query else one for one, query in _each(plain, parameters)]
    seconds = float(given.get("connect_timeout", "0"))
    return DatabaseAddress(
        urls=urls,
        session={name: given[name] for name in _OF_SESSION if name in given},
        target=given.get("target_session_attrs", "any" if len(urls) == 1 else "read-write"),
        connect_seconds=max(_SHORTEST_SECONDS, seconds) if seconds > 0 else None,
        is_pooled=is_pooled,
    )


def direct_url_of(value: str) -> str | None:
    """The URL of the database itself, if this one is of a pooler in transaction mode that is known by its name."""
    credentials, at, hosts = urlsplit(value).netloc.rpartition("@")
    direct, count = _NEON_POOLER.subn("", hosts)
    return urlsplit(value)._replace(netloc=f"{credentials}{at}{direct}").geturl() if count else None


def binds_channels(value: str) -> bool:
    """Whether the URL asks for channel binding, which the driver does not have."""
    return dict(parse_qsl(urlsplit(value).query)).get("channel_binding") == "require"


def _check(name: str, given: str) -> None:
    allowed = {
        "sslmode": _SSL_MODES,
        "ssl": (*_SSL_MODES, *_SSL_WORDS),
        "target_session_attrs": _SESSIONS,
        "channel_binding": _BINDINGS,
    }.get(name)
    if allowed and given.lower() not in allowed:
        raise ValueError(f"{name} must be one of: {', '.join(allowed)}")
    if name in _FILES and given != _OF_THE_SYSTEM and not Path(given).is_file():
        raise ValueError(f"{name} names no file that can be read")
    if given == _OF_THE_SYSTEM and name == "sslrootcert" and not _system_authorities():
        raise ValueError("sslrootcert=system: this system has no file with certificates of authorities")
    if name == "connect_timeout" and not given.isdecimal():
        raise ValueError("connect_timeout must be a number of seconds")
    if name == "gssencmode" and given == "require":
        raise ValueError("gssencmode must be disable or prefer")
    if name == "client_encoding" and given.lower().replace("-", "") not in {"utf8", "unicode", "auto"}:
        raise ValueError("client_encoding must be utf8")


def _system_authorities() -> str | None:
    """The file with the certificates of the authorities that this system trusts."""
    files = (ssl.get_default_verify_paths().cafile, *_BUNDLES)
    return next((name for name in files if name and Path(name).is_file()), None)


def _each(url: str, parameters: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """For each host its own URL and parameters. The hosts are before the path, or a parameter of their own."""
    parts = urlsplit(url)
    hosts = hosts_of(parts.netloc)
    credentials, at, _ = parts.netloc.rpartition("@")
    if len(hosts) == 1 and hosts[0].startswith(":"):
        # Only the port stands there.
        parameters = {"port": hosts[0][1:], **parameters}
        url = parts._replace(netloc=f"{credentials}{at}").geturl()
    if len(hosts) > 1:
        for host in hosts:
            yield parts._replace(netloc=f"{credentials}{at}{host}").geturl(), parameters
        return
    named, ports = parameters.get("host", "").split(","), parameters.get("port", "").split(",")
    for index, host in enumerate(named):
        one = {**parameters, "host": host, "port": ports[index % len(ports)]}
        yield url, {name: text for name, text in one.items() if text}
