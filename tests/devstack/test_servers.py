import stat
import threading
from pathlib import Path

import asyncpg
import pytest
from redis.exceptions import AuthenticationError

from devstack.servers import EmbeddedServers
from tests.devstack.clients import command, query


async def test_data_is_kept_after_a_stop(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path, durable=True) as first:
        assert first.postgres.is_new
        await query(first.database_url, "CREATE TABLE kept AS SELECT 42 AS value")
        await command(first.redis_url, "SET", "kept", "42")

    with EmbeddedServers(tmp_path, durable=True) as second:
        assert not second.postgres.is_new
        assert await query(second.database_url, "SELECT value FROM kept") == 42
        assert await command(second.redis_url, "GET", "kept") == "42"


async def test_a_killed_postgres_restarts_on_its_port_with_all_committed_data(servers: EmbeddedServers) -> None:
    await query(servers.database_url, "CREATE TABLE committed (value int)")
    url, pid = servers.database_url, servers.postgres.pid
    connection = await asyncpg.connect(url)
    for value in range(100):
        await connection.execute("INSERT INTO committed VALUES ($1)", value)

    servers.postgres.kill()
    servers.postgres.start()

    assert servers.database_url == url
    assert servers.postgres.pid != pid
    assert await query(url, "SELECT count(*) FROM committed") == 100
    connection.terminate()


async def test_a_killed_valkey_restarts_on_its_port_with_all_written_data(servers: EmbeddedServers) -> None:
    url, pid = servers.redis_url, servers.valkey.pid
    for _ in range(100):
        await command(url, "INCR", "written")

    servers.valkey.kill()
    servers.valkey.start()

    assert servers.redis_url == url
    assert servers.valkey.pid != pid
    assert await command(url, "GET", "written") == "100"


async def test_each_can_be_stopped_and_started_alone(servers: EmbeddedServers) -> None:
    for server in (servers.postgres, servers.valkey):
        server.stop()
        assert not server.is_ready()

        server.start()

        assert server.is_ready()


async def test_two_stacks_run_side_by_side(servers: EmbeddedServers, tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path / "other", durable=False) as other:
        await query(other.database_url, "CREATE TABLE only_there ()")

        assert await query(servers.database_url, "SELECT to_regclass('only_there')::text") is None
        assert other.redis_url != servers.redis_url


async def test_postgres_requires_its_password(servers: EmbeddedServers) -> None:
    wrong = servers.database_url.replace("app:", "app:not-")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(wrong, "SELECT 1")


async def test_valkey_requires_its_password(servers: EmbeddedServers) -> None:
    wrong = servers.redis_url.replace("redis://:", "redis://:not-")

    with pytest.raises(AuthenticationError):
        await command(wrong, "PING")


def test_no_other_user_can_read_a_password(servers: EmbeddedServers) -> None:
    passwords = [
        url.split(":")[2].partition("@")[0]
        for url in (servers.database_url, servers.postgres.owner_url, servers.redis_url)
    ]
    holders = [
        path
        for path in servers.postgres.folder.parent.rglob("*")
        if path.is_file() and any(password.encode() in path.read_bytes() for password in passwords)
    ]

    assert {path.name for path in holders} == {"password", "owner_password", "valkey.conf"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}
    for server in (servers.postgres, servers.valkey):
        command_line = Path(f"/proc/{server.pid}/cmdline").read_text()
        assert not any(password in command_line for password in passwords)


async def test_the_database_has_the_settings_of_production(servers: EmbeddedServers) -> None:
    settings = {"server_encoding": "UTF8", "max_connections": "200", "TimeZone": "UTC", "listen_addresses": "127.0.0.1"}

    assert {name: await query(servers.database_url, f"SHOW {name}") for name in settings} == settings


async def test_durable_servers_sync_every_write_to_disk(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path, durable=True) as servers:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await query(servers.database_url, f"SHOW {name}") == "on"
        assert await command(servers.redis_url, "CONFIG", "GET", "appendfsync") == ["appendfsync", "everysec"]


def test_servers_cannot_be_started_from_another_thread(tmp_path: Path) -> None:
    """Linux would end the servers with the thread."""
    refusals = []

    def start() -> None:
        try:
            EmbeddedServers(tmp_path, durable=False).start()
        except RuntimeError as refusal:
            refusals.append(str(refusal))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()

    assert "main thread" in refusals[0]


async def test_the_owner_of_the_database_is_no_superuser(servers: EmbeddedServers) -> None:
    owner = servers.postgres.owner_url

    await query(owner, "CREATE TABLE made_by_the_owner (id int)")

    assert (
        await query(owner, "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'junis'")
        is False
    )
    assert await query(owner, "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'junis'") == "junis"


async def test_a_database_of_an_earlier_version_gets_its_owner(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path, durable=False) as servers:
        # As that version left it: all that there is belongs to the superuser.
        for statement in (
            "CREATE TABLE kept (id int GENERATED ALWAYS AS IDENTITY, word text DEFAULT 'kept')",
            "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "INSERT INTO kept DEFAULT VALUES",
            "ALTER DATABASE junis OWNER TO app",
            "DROP ROLE junis",
        ):
            await query(servers.database_url, statement)
        (servers.postgres.folder / "owner_password").unlink()

    with EmbeddedServers(tmp_path, durable=False) as servers:
        owner = servers.postgres.owner_url
        await query(owner, "ALTER TABLE kept ADD COLUMN more int")
        await query(
            owner, "CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'"
        )

        assert await query(owner, "SELECT word FROM kept") == "kept"
        assert not servers.postgres.is_new
