"""TLS to Postgres as DATABASE_URL asks for it, with a certificate of an authority of our own."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from app.core.postgres_errors import explain
from tests.core.sites import settings_of

_SSL_REQUEST_BYTES = 8
_CHUNK = 65_536


@dataclass(frozen=True)
class Tls:
    """Postgres behind TLS: its database at the port of a proxy, and the file with the authority's certificate."""

    url: str
    authority: Path

    def database(self, query: str, host: str = "localhost") -> Database:
        url = self.url.replace("127.0.0.1", host) + query.format(authority=self.authority)
        return Database.open(settings_of({"DATABASE_URL": url}), pool_size=1)


@pytest.fixture(scope="module")
async def tls(environment: dict[str, str], run_folder: Path) -> AsyncIterator[Tls]:
    url = urlsplit(environment["DATABASE_URL"])
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    file = run_folder / "postgres-authority.pem"
    authority.cert_pem.write_to_path(file)

    async def serve(requests: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        await requests.readexactly(_SSL_REQUEST_BYTES)
        client.write(b"S")
        await client.start_tls(context)
        responses, server = await asyncio.open_connection(url.hostname, url.port)
        await asyncio.gather(_pass(requests, server), _pass(responses, client), return_exceptions=True)

    async with await asyncio.start_server(serve, "localhost", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        yield Tls(environment["DATABASE_URL"].replace(f":{url.port}", f":{port}"), file)


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_CHUNK):
            target.write(data)
    finally:
        target.close()


@pytest.mark.parametrize(
    ("query", "host"),
    [
        ("?sslmode=require&channel_binding=require", "localhost"),
        ("?ssl=require", "127.0.0.1"),
        ("?sslmode=verify-full&sslrootcert={authority}", "localhost"),
        ("?sslmode=verify-ca&sslrootcert={authority}", "127.0.0.1"),
    ],
)
async def test_a_certificate_that_fits_is_accepted(tls: Tls, query: str, host: str) -> None:
    database = tls.database(query, host)

    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT 1") == 1

    await database.close()


@pytest.mark.parametrize(
    ("query", "host"),
    [
        ("?sslmode=verify-full&sslrootcert={authority}", "127.0.0.1"),
        ("?sslmode=verify-full&sslrootcert=system", "localhost"),
    ],
    ids=["for another name", "of an unknown authority"],
)
async def test_a_certificate_that_does_not_fit_is_refused(tls: Tls, query: str, host: str) -> None:
    database = tls.database(query, host)

    with pytest.raises(ServiceUnavailableError) as refused:
        async with database.transaction():
            pass

    await database.close()
    assert refused.value.__cause__
    assert "CERTIFICATE_VERIFY_FAILED" in explain(refused.value.__cause__)
