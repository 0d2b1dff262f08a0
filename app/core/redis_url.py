"""REDIS_URL in the forms that clients of Redis use: one server, a Unix socket, Sentinels; with or without TLS."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from app.core.addresses import REDIS_PORT, Address, addresses_of, hosts_of

_SENTINEL_PORT = 26379
_OVER_SENTINELS = MappingProxyType({"redis+sentinel": "redis", "rediss+sentinel": "rediss", "sentinel": "redis"})
SCHEMES = ("redis", "rediss", "unix", *_OVER_SENTINELS)

_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OF_TLS = (*_FILES, "ssl_cert_reqs", "ssl_check_hostname")
_LEADER_NAMES = ("master_name", "service_name")
_OF_SENTINELS = (*_LEADER_NAMES, "sentinel_username", "sentinel_password")
_SECONDS = ("socket_timeout", "socket_connect_timeout")
_OF_ALL = ("db", "username", "password", "client_name", *_SECONDS)
# The server has its own.
_IDLE = ("health_check_interval", "max_connections", "protocol", "retry_on_timeout", "socket_keepalive", "timeout")
_REQUIREMENTS = ("required", "optional", "none")
_NO = frozenset({"0", "f", "false", "n", "no"})
_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True)
class Sentinels:
    """The Sentinels that know where the leader is.

    Attributes:
        addresses: where they are.
        leader: the name under which they know it.
        options: what their connections need: `username`, `password`, TLS.
    """

    addresses: Sequence[Address]
    leader: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class RedisAddress:
    """Where Redis is.

    Attributes:
        url: what the client library understands.
        options: what connections need besides it.
        addresses: host and port; none for a Unix socket and for Sentinels.
        sentinels: whom to ask for host and port instead.
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict)
    addresses: Sequence[Address] = ()
    sentinels: Sentinels | None = None


def redis_parameters(value: str) -> str:
    """Allow only the parameters that are understood, with values that are.

    Raises:
        ValueError: says which one is not, without showing the URL.
    """
    parts = urlsplit(value)
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    allowed = _allowed(parts.scheme)
    for name, given in parameters.items():
        if name not in (*allowed, *_IDLE):
            raise ValueError(f"the parameter {name} is not supported; supported: {', '.join(allowed)}")
        _check(name, given)
    if parts.scheme in _OVER_SENTINELS and not _leader_and_number(parts.path, parameters)[0]:
        raise ValueError("the name of the leader is missing: redis+sentinel://HOST:26379,HOST:26379/NAME/0")
    if parts.scheme != "unix":
        _check("db", urlsplit(redis_address(value).url).path.strip("/") or "0")
    return value


def redis_address(url: str) -> RedisAddress:
    """Read a URL that `redis_parameters` has checked."""
    parts = urlsplit(url)
    parameters = dict(parse_qsl(parts.query))
    scheme = _OVER_SENTINELS.get(parts.scheme, parts.scheme)
    tls = _tls_options(parameters) if scheme == "rediss" else {}
    plain = parts._replace(query=urlencode({name: text for name, text in parameters.items() if name in _OF_ALL}))
    if scheme == "unix":
        return RedisAddress(plain.geturl(), tls)
    credentials, at, _ = parts.netloc.rpartition("@")
    if parts.scheme not in _OVER_SENTINELS:
        addresses = addresses_of(parts.netloc or "localhost", REDIS_PORT)
        host = (hosts_of(parts.netloc) or ["localhost"])[0]
        return RedisAddress(plain._replace(netloc=f"{credentials}{at}{host}").geturl(), tls, addresses)
    name, number = _leader_and_number(parts.path, parameters)
    # The host is replaced by what the Sentinels say.
    leader = plain._replace(scheme=scheme, netloc=f"{credentials}{at}sentinels", path=f"/{number}")
    secured = {"ssl": True, **tls} if scheme == "rediss" else {}
    sentinels = Sentinels(addresses_of(parts.netloc, _SENTINEL_PORT), name, {**_credentials(parameters), **secured})
    return RedisAddress(leader.geturl(), tls, sentinels=sentinels)


def _check(name: str, given: str) -> None:
    if name in _FILES and not Path(given).is_file():
        raise ValueError(f"{name} names no file that can be read")
    if name == "ssl_cert_reqs" and _requirement(given) not in _REQUIREMENTS:
        raise ValueError(f"ssl_cert_reqs must be one of: {', '.join(_REQUIREMENTS)}")
    if name == "db" and not given.isdecimal():
        raise ValueError("the database must be a number")
    if name in _SECONDS and not _NUMBER.fullmatch(given):
        raise ValueError(f"{name} must be a number of seconds")


def _allowed(scheme: str) -> Sequence[str]:
    of_tls = _OF_TLS if scheme.startswith("rediss") else ()
    return (*_OF_ALL, *of_tls, *(_OF_SENTINELS if scheme in _OVER_SENTINELS else ()))


def _leader_and_number(path: str, parameters: Mapping[str, str]) -> tuple[str, str]:
    """The name of the leader and the number of the database: `/NAME/0`, or `/0?master_name=NAME`."""
    parts = [unquote(part) for part in path.split("/") if part]
    named = next((parameters[name] for name in _LEADER_NAMES if name in parameters), None)
    if named is None:
        named = parts.pop(0) if parts else ""
    return named, parts[0] if parts else "0"


def _credentials(parameters: Mapping[str, str]) -> dict[str, str]:
    given = {name: parameters.get(f"sentinel_{name}") for name in ("username", "password")}
    return {name: text for name, text in given.items() if text}


def _requirement(given: str) -> str:
    # Some clients write CERT_NONE.
    return given.lower().removeprefix("cert_")


def _tls_options(parameters: Mapping[str, str]) -> dict[str, Any]:
    """What the client library is told about certificates. Unless the URL says otherwise, the host's name must fit."""
    required = _requirement(parameters.get("ssl_cert_reqs", "required"))
    is_checked = parameters.get("ssl_check_hostname", "true").lower() not in _NO
    files = {name: parameters[name] for name in _FILES if name in parameters}
    return {**files, "ssl_cert_reqs": required, "ssl_check_hostname": is_checked and required != "none"}
