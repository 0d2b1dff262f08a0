"""What the health routes report while something is away. These tests have their own servers, which they may kill."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from app.core.database import Database
from devstack.servers import EmbeddedServers
from tests import factories, programs
from tests.content.contents import insert_content
from tests.core.sites import furnish, settings_of
from tests.factories import Organization
from tests.waiting import PATIENCE

WITHOUT_REDIS = {
    "status": "ready",
    "database": "ok",
    "objects": "ok",
    "redis": "away",
    "worker": "unknown",
    "vendor": "unknown",
}


@dataclass(frozen=True)
class Fragile:
    """An API whose servers may be killed; a test that kills one starts it again.

    `unmigrated` is its response to `/readyz` while its database was empty.
    """

    client: httpx.AsyncClient
    unmigrated: httpx.Response
    servers: EmbeddedServers
    database: Database
    organization: Organization

    async def ready(self) -> tuple[int, dict[str, str]]:
        """Status and body of `/readyz`."""
        response = await self.client.get("/readyz")
        return response.status_code, response.json()


@pytest.fixture(scope="module")
def own_servers(run_folder: Path) -> Iterator[EmbeddedServers]:
    with EmbeddedServers(run_folder / "fragile", durable=False) as servers:
        yield servers


@pytest.fixture(scope="module")
def serving(own_servers: EmbeddedServers, environment: dict[str, str], run_folder: Path) -> Iterator[dict[str, str]]:
    """The settings of an API that runs on an empty database."""
    site = environment | {"DATABASE_URL": own_servers.database_url, "REDIS_URL": own_servers.redis_url}
    api = programs.api_process(site, run_folder / "fragile-api.log")
    api.program.launch()  # it is not ready until its database is migrated
    yield site | {"PUBLIC_URL": api.url}
    api.program.stop()


@pytest.fixture(scope="module")
async def fragile(serving: dict[str, str], own_servers: EmbeddedServers, run_folder: Path) -> AsyncIterator[Fragile]:
    async with httpx.AsyncClient(base_url=serving["PUBLIC_URL"], timeout=30) as client:
        unmigrated = await until_response(client, "/readyz")
        await furnish(serving, run_folder)
        database = Database.open(settings_of(serving))
        organization = await factories.make_organization(database)
        client.headers.update(organization.headers)
        yield Fragile(client, unmigrated, own_servers, database, organization)
        await database.close()


async def until_response(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """The first response of a server that is starting."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(httpx.TransportError):
                return await client.get(path)
            await asyncio.sleep(0.05)


async def test_it_is_ready_without_a_worker(fragile: Fragile) -> None:
    status, body = await fragile.ready()

    assert status == 200
    assert body == {
        "status": "ready",
        "database": "ok",
        "objects": "ok",
        "redis": "ok",
        "worker": "silent",
        "vendor": "ok",
    }


async def test_a_running_worker_is_reported(visitor: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await visitor.get("/readyz")).json()["worker"] != "ok":
            pass


async def test_without_redis_it_is_ready_and_reports_that_redis_is_away(fragile: Fragile) -> None:
    fragile.servers.valkey.kill()
    try:
        status, body = await fragile.ready()
    finally:
        fragile.servers.valkey.start()

    assert status == 200
    assert body == WITHOUT_REDIS
    assert (await fragile.ready())[1]["redis"] == "ok"


async def test_a_redis_that_takes_no_writes_is_reported_as_degraded(fragile: Fragile) -> None:
    async with Redis.from_url(fragile.servers.redis_url) as valkey:
        # Its leader does not exist.
        await valkey.replicaof("127.0.0.1", 1)
        status, body = await fragile.ready()
        response = await fragile.client.get("/api/external/credits")
        await valkey.replicaof("NO", "ONE")

    assert (status, body["redis"]) == (200, "degraded")
    assert response.status_code == 200
    assert (await fragile.ready())[1]["redis"] == "ok"


async def test_a_postgres_that_takes_no_writes_is_not_ready_until_it_does(fragile: Fragile) -> None:
    async with fragile.database.transaction() as tx:
        name = await tx.fetchval("SELECT current_database()")
        await tx.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await end_sessions(fragile)
    status, body = await fragile.ready()
    retried = await fragile.client.post(f"/api/external/content/{uuid.uuid4()}/retry")
    async with asyncio.timeout(PATIENCE), fragile.database.transaction() as tx:
        await tx.execute("SET TRANSACTION READ WRITE")
        await tx.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")

    assert (status, body["status"], body["database"]) == (503, "not_ready", "read_only")
    assert retried.status_code == 404, "it only reads"
    assert (await fragile.ready())[0] == 200


async def test_a_connection_of_before_refuses_no_write_once_postgres_takes_them(fragile: Fragile) -> None:
    """Each of the pool's connections may be one that still takes no writes."""
    size = settings_of({}).database_pool_size
    contents = [await insert_content(fragile.database, fragile.organization, "failed") for _ in range(size)]
    paths = [f"/api/external/content/{content.id}/retry" for content in contents]
    async with fragile.database.transaction() as tx:
        name = await tx.fetchval("SELECT current_database()")
        await tx.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await end_sessions(fragile)
    reads = await asyncio.gather(*(fragile.client.get("/api/external/content") for _ in paths))
    refused = await fragile.client.post(paths[0])
    reads += await asyncio.gather(*(fragile.client.get("/api/external/content") for _ in paths))
    async with asyncio.timeout(PATIENCE), fragile.database.transaction() as tx:
        await tx.execute("SET TRANSACTION READ WRITE")
        await tx.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    retried = [await fragile.client.post(path) for path in paths]

    assert {response.status_code for response in reads} == {200}
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "service_unavailable")
    assert [response.status_code for response in retried] == [200] * size


async def end_sessions(fragile: Fragile) -> None:
    """Have every connection opened again."""
    async with fragile.database.transaction() as tx:
        await tx.fetch(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_a_redis_that_does_not_respond_is_reported_as_away(fragile: Fragile) -> None:
    """A probe or a client that had to wait would give up and consider the API dead."""
    valkey = int(fragile.servers.valkey.pid_file.read_text())
    os.kill(valkey, signal.SIGSTOP)
    try:
        # If they waited one after another, it would take minutes.
        async with asyncio.timeout(PATIENCE):
            probes = await asyncio.gather(*(fragile.ready() for _ in range(20)))
            responses = await asyncio.gather(*(fragile.client.get("/api/external/credits") for _ in range(40)))
    finally:
        os.kill(valkey, signal.SIGCONT)

    assert probes == [(200, WITHOUT_REDIS)] * 20
    assert {response.status_code for response in responses} == {200}
    assert (await fragile.ready())[1]["redis"] == "ok"


async def test_without_redis_the_api_works_and_a_retry_is_accepted(fragile: Fragile) -> None:
    content = await insert_content(fragile.database, fragile.organization, "failed")
    fragile.servers.valkey.kill()
    try:
        owned = await fragile.client.get("/api/external/credits")
        listed = await fragile.client.get("/api/external/content")
        retried = await fragile.client.post(f"/api/external/content/{content.id}/retry")
    finally:
        fragile.servers.valkey.start()

    assert [response.status_code for response in (owned, listed, retried)] == [200, 200, 200]
    assert owned.headers["x-ratelimit-limit"]
    detail = (await fragile.client.get(f"/api/external/content/{content.id}")).json()
    assert (detail["status"], detail["retry_count"]) == ("pending", 1)


async def test_without_postgres_it_is_alive_but_not_ready(fragile: Fragile) -> None:
    fragile.servers.postgres.kill()
    try:
        alive = await fragile.client.get("/healthz")
        status, body = await fragile.ready()
        asked = await fragile.client.get("/api/external/content")
        file = await fragile.client.get("/files/token/name")
    finally:
        fragile.servers.postgres.start()

    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert (status, body["status"], body["database"]) == (503, "not_ready", "away")
    for response in (asked, file):
        assert response.status_code == 503
        assert response.json() == {
            "error": {
                "message": "The service is temporarily unavailable",
                "type": "server_error",
                "code": "service_unavailable",
            }
        }
        # The client may retry: nothing has been done.
        assert "x-should-retry" not in response.headers
    assert (await fragile.ready())[0] == 200


async def test_a_database_without_a_schema_is_not_ready_until_it_is_migrated(fragile: Fragile) -> None:
    assert fragile.unmigrated.status_code == 503
    assert fragile.unmigrated.json()["database"] == "schema_missing"
    assert (await fragile.ready())[0] == 200


@pytest.mark.parametrize(
    ("revision", "expected"), [("0011", (503, "schema_behind")), ("of-a-newer-version", (200, "ok"))]
)
async def test_a_schema_that_is_behind_is_not_ready_and_one_that_is_ahead_is(
    fragile: Fragile, revision: str, expected: tuple[int, str]
) -> None:
    async with fragile.database.transaction() as tx:
        current = await tx.fetchval("SELECT version_num FROM alembic_version")
        await tx.execute("UPDATE alembic_version SET version_num = $1", revision)
    shown = await fragile.ready()
    async with fragile.database.transaction() as tx:
        await tx.execute("UPDATE alembic_version SET version_num = $1", current)

    assert (shown[0], shown[1]["database"]) == expected
    assert (await fragile.ready())[0] == 200
