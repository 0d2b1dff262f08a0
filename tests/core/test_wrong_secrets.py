"""A store that refuses us, or cannot be used at all: who has its secret says so in one line, and `/readyz` shows it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from app.core.database import Database
from app.core.database_url import database_address
from app.core.errors import ServiceUnavailableError
from app.core.notifications import listening
from tests import programs
from tests.core.postgres_away import unready_postgres
from tests.core.sites import settings_of
from tests.waiting import PATIENCE, until

SECRET = "geheim"


@pytest.fixture
def two_addresses(monkeypatch: pytest.MonkeyPatch) -> str:
    """A host name that the resolver knows two addresses for. Nobody listens at either."""
    resolve = socket.getaddrinfo

    def resolved(host: Any, *arguments: Any, **options: Any) -> Any:
        hosts = ("127.0.0.1", "127.0.0.2") if host == "twice.example" else (host,)
        return [entry for name in hosts for entry in resolve(name, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    return "twice.example:1"


@asynccontextmanager
async def api_with(settings: dict[str, str], log: Path) -> AsyncIterator[httpx.AsyncClient]:
    """An API that need not become ready."""
    api = programs.api_process(settings, log)
    api.program.launch()
    try:
        async with httpx.AsyncClient(base_url=api.url, timeout=PATIENCE) as client:
            await until(lambda: is_alive(client))
            yield client
    finally:
        await asyncio.to_thread(api.program.stop)


async def is_alive(client: httpx.AsyncClient) -> bool:
    with suppress(httpx.TransportError):
        return (await client.get("/healthz")).status_code == 200
    return False


async def shown(client: httpx.AsyncClient, field: str, value: str) -> int:
    """The status of `/readyz` once the field has this value."""

    async def status() -> int:
        response = await client.get("/readyz")
        return response.status_code if response.json()[field] == value else 0

    return await until(status)


def changed(url: str, *, credentials: str | None = None, path: str | None = None) -> str:
    """The URL with other credentials or another path."""
    parts = urlsplit(url)
    own, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{credentials or own}@{host}", path=path or parts.path).geturl()


def told(log: Path, event: str, text: str) -> list[dict[str, Any]]:
    """The lines of an event whose reason has this text. Every line of the log is one JSON object."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if line["event"] == event and text in line["reason"]]


async def test_wrong_credentials_of_postgres_are_told(environment: dict[str, str], tmp_path: Path) -> None:
    wrong = {**environment, "DATABASE_URL": changed(environment["DATABASE_URL"], credentials=f"app:{SECRET}")}
    log, worker_log = tmp_path / "api.log", tmp_path / "worker.log"
    expected = "Postgres refuses the user or the password of DATABASE_URL"

    with programs.running_worker(wrong, worker_log):
        async with api_with(wrong, log) as client:
            assert await shown(client, "database", "refused") == 503
            refused = await client.get("/files/token/name")
        await until(lambda: has_line(worker_log, "database_refused", expected))

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "service_unavailable")
    assert int(refused.headers["Retry-After"]) > 0
    assert told(log, "listener_lost", expected)[0]["level"] == "error"
    for text in (log.read_text(), worker_log.read_text()):
        assert SECRET not in text
        assert "Traceback" not in text


async def has_line(log: Path, event: str, text: str) -> bool:
    return bool(told(log, event, text))


async def test_a_wrong_password_of_redis_is_told(environment: dict[str, str], tmp_path: Path) -> None:
    wrong = {**environment, "REDIS_URL": changed(environment["REDIS_URL"], credentials=f"nobody:{SECRET}")}
    log, worker_log = tmp_path / "api.log", tmp_path / "worker.log"

    with programs.running_worker(wrong, worker_log):
        async with api_with(wrong, log) as client:
            assert await shown(client, "redis", "refused") == 200
        await until(lambda: has_line(worker_log, "store_unusable", "REDIS_URL"))
    await until(lambda: has_line(log, "store_unusable", "REDIS_URL"))

    for text in (log.read_text(), worker_log.read_text()):
        assert SECRET not in text
        assert "Traceback" not in text
    assert [line["level"] for line in told(log, "store_unusable", "REDIS_URL")] == ["error"]


async def test_a_store_that_never_worked_keeps_the_api_out_of_rotation_and_one_that_fails_later_does_not(
    environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "objects"
    folder.touch()
    log = tmp_path / "api.log"

    async with api_with({**environment, "LOCAL_STORAGE_DIR": str(folder)}, log) as client:
        assert await shown(client, "objects", "not_writable") == 503
        folder.unlink()
        assert await shown(client, "objects", "ok") == 200
        folder.rename(tmp_path / "away")
        folder.touch()
        assert await shown(client, "objects", "not_writable") == 200

    assert [line["level"] for line in told(log, "store_unusable", "LOCAL_STORAGE_DIR")] == ["error", "error"]


@pytest.mark.parametrize(
    "host", ["twice.example:1", "nowhere.invalid", "127.0.0.1:1", "nowhere.invalid:1?sslmode=require"]
)
@pytest.mark.usefixtures("two_addresses")
async def test_a_postgres_that_cannot_be_reached_is_unavailable_and_named(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    address, _, parameters = host.partition("?")
    settings = settings_of({"DATABASE_URL": f"postgresql://app:{SECRET}@{address}/junis?{parameters}"})
    database = Database.open(settings)

    with pytest.raises(ServiceUnavailableError) as refused:
        async with database.transaction():
            pass
    await database.close()

    assert refused.value.retry_after
    (line,) = caplog.records
    assert (line.levelname, line.message) == ("WARNING", "database_away")
    assert str(line.__dict__["reason"]).startswith(address)
    assert SECRET not in str(line.__dict__)


async def test_the_listener_goes_on_while_a_name_with_several_addresses_refuses(
    two_addresses: str, caplog: pytest.LogCaptureFixture
) -> None:
    address = database_address(f"postgresql://app:{SECRET}@{two_addresses}/junis")
    async with listening(address, {"junis_callers": lambda: None}):
        await until(lambda: has_lost(caplog, times=2))

    assert {record.__dict__["reason"].partition(": ")[0] for record in caplog.records} == {two_addresses}


async def has_lost(caplog: pytest.LogCaptureFixture, *, times: int) -> bool:
    return [record.message for record in caplog.records].count("listener_lost") >= times


@pytest.mark.parametrize(
    ("sqlstate", "event"),
    [
        ("28P01", "database_refused"),
        ("28000", "database_refused"),
        ("3D000", "database_refused"),
        ("42501", "database_refused"),
        ("53300", "database_away"),
        ("57P03", "database_away"),
    ],
)
async def test_what_postgres_says_to_a_new_connection_is_unavailable(
    sqlstate: str, event: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with unready_postgres(sqlstate) as url:
        database = Database.open(settings_of({"DATABASE_URL": url}))
        with pytest.raises(ServiceUnavailableError):
            async with database.transaction():
                pass
        await database.close()

    assert [record.message for record in caplog.records] == [event]


async def test_a_table_that_the_role_may_not_use_is_unavailable(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    name = "stores_without_rights"
    owner = await asyncpg.connect(environment["DATABASE_URL"])
    await owner.execute(f"DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'")
    url = changed(environment["DATABASE_URL"], credentials=f"{name}:{SECRET}")
    database = Database.open(settings_of({"DATABASE_URL": url}))

    with pytest.raises(ServiceUnavailableError):
        async with database.transaction() as tx:
            await tx.fetchval("SELECT count(*) FROM organizations")
    await database.close()
    await owner.execute(f"DROP ROLE {name}")
    await owner.close()

    (line,) = caplog.records
    assert line.message == "database_refused"
    assert "permission denied for table organizations" in line.__dict__["reason"]
