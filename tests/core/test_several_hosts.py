"""Of several hosts, the first that responds and takes writes is connected to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from app.core.database_url import DatabaseAddress, database_address
from app.core.driver import open_connection
from app.core.postgres_errors import PostgresUnreachableError
from devstack.ports import free_port
from tests.core.postgres_away import unready_postgres
from tests.core.sites import create_database


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """A server that accepts connections and never responds; yields its port."""

    async def keep(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reader.read()
        writer.close()

    async with await asyncio.start_server(keep, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1]


def several(url: str, *ports: int | None) -> DatabaseAddress:
    """The same database at each of these ports."""
    parts = urlsplit(url)
    credentials = parts.netloc.rpartition("@")[0]
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    address = database_address(parts._replace(netloc=f"{credentials}@{hosts}").geturl())
    # The least that an operator can say is two seconds.
    return replace(address, connect_seconds=0.3)


async def test_hosts_that_are_away_are_passed_over(environment: dict[str, str]) -> None:
    url = environment["DATABASE_URL"]
    async with silent_server() as silent, unready_postgres("57P03") as starting:
        ports = (silent, free_port(), urlsplit(starting).port, urlsplit(url).port)
        connection = await open_connection(several(url, *ports), application_name="shop")

        assert await connection.fetchval("SHOW application_name") == "shop"
        await connection.close()


async def test_if_all_are_away_each_is_named(environment: dict[str, str]) -> None:
    async with silent_server() as silent:
        dead = free_port()
        with pytest.raises(PostgresUnreachableError) as unreachable:
            await open_connection(several(environment["DATABASE_URL"], silent, dead), application_name="shop")

    first, second = str(unreachable.value).split("; ")
    assert first == f"127.0.0.1:{silent}: no response within 0.3 s"
    assert second.startswith(f"127.0.0.1:{dead}: ")


async def test_a_host_that_takes_no_writes_will_not_do(environment: dict[str, str]) -> None:
    url = await create_database(environment["DATABASE_URL"])
    owner = await open_connection(database_address(url), application_name="owner")
    await owner.execute(f"ALTER DATABASE {urlsplit(url).path[1:]} SET default_transaction_read_only = on")
    await owner.close()

    with pytest.raises(PostgresUnreachableError, match="it takes no writes"):
        await open_connection(database_address(f"{url}?target_session_attrs=read-write"), application_name="shop")


async def test_what_the_url_says_of_the_session_counts(environment: dict[str, str]) -> None:
    url = f"{environment['DATABASE_URL']}?application_name=shop&options=-cwork_mem%3D7MB%20-cstatement_timeout%3D9s"
    connection = await open_connection(database_address(url), application_name="junis", session={"timezone": "UTC"})

    shown = [await connection.fetchval(f"SHOW {name}") for name in ("application_name", "work_mem", "timezone")]
    await connection.close()

    assert shown == ["shop", "7MB", "UTC"]
