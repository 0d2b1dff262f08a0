"""`rediss://`: a TLS proxy before Valkey, with a certificate of an authority of our own."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from redis.exceptions import RedisError

from tests.queue.opening import OpenRedis

_CHUNK = 65_536


@dataclass(frozen=True)
class Tls:
    """Valkey behind TLS: its port and password, and the file with the authority's certificate."""

    port: int
    password: str
    authority: Path

    def url(self, query: str = "", host: str = "localhost") -> str:
        return f"rediss://:{self.password}@{host}:{self.port}/0{query.format(authority=self.authority)}"


@pytest.fixture(scope="module")
async def tls(environment: dict[str, str], run_folder: Path) -> AsyncIterator[Tls]:
    valkey = urlsplit(environment["REDIS_URL"])
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    file = run_folder / "authority.pem"
    authority.cert_pem.write_to_path(file)

    async def serve(requests: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        responses, server = await asyncio.open_connection(valkey.hostname, valkey.port)
        await asyncio.gather(_pass(requests, server), _pass(responses, client), return_exceptions=True)

    async with await asyncio.start_server(serve, "localhost", 0, ssl=context) as listener:
        yield Tls(listener.sockets[0].getsockname()[1], valkey.password or "", file)


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_CHUNK):
            target.write(data)
    finally:
        target.close()


@pytest.mark.parametrize(
    ("query", "host"),
    [
        ("?ssl_ca_certs={authority}", "localhost"),
        ("?ssl_ca_certs={authority}&ssl_check_hostname=false", "127.0.0.1"),
        ("?ssl_cert_reqs=none", "127.0.0.1"),
        ("?ssl_cert_reqs=CERT_NONE", "localhost"),
    ],
)
async def test_a_certificate_that_fits_is_accepted(tls: Tls, open_pool: OpenRedis, query: str, host: str) -> None:
    assert await open_pool(tls.url(query, host)).ping()


@pytest.mark.parametrize(
    ("query", "host"),
    [("", "localhost"), ("?ssl_ca_certs={authority}", "127.0.0.1")],
    ids=["of an unknown authority", "for another name"],
)
async def test_a_certificate_that_does_not_fit_is_refused(
    tls: Tls, open_pool: OpenRedis, query: str, host: str
) -> None:
    with pytest.raises(RedisError, match="CERTIFICATE_VERIFY_FAILED"):
        await open_pool(tls.url(query, host)).ping()
