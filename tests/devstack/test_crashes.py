"""What is left after the owner of the servers is killed, and how the next owner starts."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from devstack import process
from devstack.programs import Program
from devstack.servers import EmbeddedServers
from tests.devstack.clients import command, query
from tests.devstack.observation import has_ended, user_of
from tests.waiting import wait_until


@dataclass(frozen=True)
class Owner:
    """Another process, which runs servers."""

    process: subprocess.Popen[bytes]
    pids: list[int]
    database_url: str
    redis_url: str

    def kill(self) -> None:
        process.kill(self.process)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[EmbeddedServers]:
    """Servers that only this test uses, in the folder `stack`."""
    with EmbeddedServers(tmp_path / "stack", durable=False) as running:
        yield running


OwnerStarter = Callable[..., Owner]


@pytest.fixture
def start_owner() -> Iterator[OwnerStarter]:
    started: list[subprocess.Popen[bytes]] = []

    def start(folder: Path, **env: str) -> Owner:
        started.append(_launch_owner(folder, **env))
        assert started[-1].stdout is not None
        report = json.loads(started[-1].stdout.readline())
        return Owner(started[-1], report["pids"], report["database_url"], report["redis_url"])

    yield start
    for owner in started:
        with owner:  # closes its pipe
            process.kill(owner)


def _launch_owner(folder: Path, **env: str) -> subprocess.Popen[bytes]:
    owner = Program("owner", ("-m", "tests.devstack.owner", str(folder)), {**os.environ, **env}, folder.parent / "log")
    launched = owner.launch(stdout=process.PIPE)
    assert isinstance(launched, subprocess.Popen)
    return launched


@pytest.fixture
def path_without_namespaces(tmp_path: Path) -> str:
    """A PATH as in a container without user namespaces, in which root has to switch to another user."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("setpriv", "true"):
        if found := shutil.which(program):
            (folder / program).symlink_to(found)
    return str(folder)


async def test_no_server_outlives_a_killed_owner(tmp_path: Path, start_owner: OwnerStarter) -> None:
    owner = start_owner(tmp_path / "stack")
    await query(owner.database_url, "CREATE TABLE kept AS SELECT 42 AS value")
    await command(owner.redis_url, "SET", "kept", "42")

    owner.kill()

    wait_until(lambda: all(has_ended(pid) for pid in owner.pids))
    with EmbeddedServers(tmp_path / "stack", durable=False) as servers:
        assert await query(servers.database_url, "SELECT value FROM kept") == 42
        assert await command(servers.redis_url, "GET", "kept") == "42"


async def test_the_next_owner_can_start_at_once(tmp_path: Path, start_owner: OwnerStarter) -> None:
    owner = start_owner(tmp_path / "stack")
    await query(owner.database_url, "CREATE TABLE kept AS SELECT 42 AS value")

    owner.kill()

    with EmbeddedServers(tmp_path / "stack", durable=False) as servers:
        assert await query(servers.database_url, "SELECT value FROM kept") == 42


async def test_without_user_namespaces_no_server_outlives_a_killed_owner_either(
    tmp_path: Path, start_owner: OwnerStarter, path_without_namespaces: str
) -> None:
    owner = start_owner(tmp_path / "stack", PATH=path_without_namespaces)
    await query(owner.database_url, "CREATE TABLE kept AS SELECT 42 AS value")

    assert user_of(owner.pids[0]) != 0
    owner.kill()

    wait_until(lambda: all(has_ended(pid) for pid in owner.pids))
    with EmbeddedServers(tmp_path / "stack", durable=False) as servers:
        assert await query(servers.database_url, "SELECT value FROM kept") == 42


async def test_servers_that_outlived_their_owner_are_stopped(servers: EmbeddedServers, tmp_path: Path) -> None:
    """As after a kill on a system without a signal for the death of the parent."""
    await query(servers.database_url, "CREATE TABLE kept AS SELECT 42 AS value")
    await command(servers.redis_url, "SET", "kept", "42")

    with EmbeddedServers(tmp_path / "stack", durable=False) as next_owner:
        assert servers.postgres.running.poll() == 0
        assert servers.valkey.running.poll() == 0
        assert await query(next_owner.database_url, "SELECT value FROM kept") == 42
        assert await command(next_owner.redis_url, "GET", "kept") == "42"


@pytest.mark.parametrize("pid_file", ["postgres/data/postmaster.pid", "valkey/valkey.pid"])
def test_a_stale_pid_file_that_names_another_program_does_no_harm(
    tmp_path: Path, servers: EmbeddedServers, pid_file: str
) -> None:
    servers.postgres.kill()
    servers.valkey.kill()
    stale = tmp_path / "stack" / pid_file
    _, separator, rest = stale.read_text().partition("\n")
    with subprocess.Popen(["sleep", "600"]) as stranger:
        stale.write_text(f"{stranger.pid}{separator}{rest}")

        servers.start()

        assert servers.postgres.is_ready()
        assert servers.valkey.is_ready()
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", ["", "no number\n"])
def test_a_damaged_pid_file_does_no_harm(tmp_path: Path, servers: EmbeddedServers, content: str) -> None:
    servers.valkey.kill()
    (tmp_path / "stack/valkey/valkey.pid").write_text(content)

    servers.valkey.start()

    assert servers.valkey.is_ready()


def test_a_database_is_created_completely_or_not_at_all(tmp_path: Path) -> None:
    stack = tmp_path / "stack"
    with _launch_owner(stack) as owner:
        wait_until(lambda: any(stack.glob("postgres.*")))
        process.kill(owner)
    was_made = (stack / "postgres").exists()

    with EmbeddedServers(stack, durable=False) as servers:
        assert servers.postgres.is_new is not was_made
        assert servers.postgres.is_ready()
        assert was_made or not list(stack.glob("postgres.*"))


def test_a_request_to_stop_shuts_both_down_cleanly(tmp_path: Path, start_owner: OwnerStarter) -> None:
    owner = start_owner(tmp_path / "stack")

    owner.process.send_signal(signal.SIGINT)
    owner.process.wait()

    assert all(has_ended(pid) for pid in owner.pids)
    assert "database system is shut down" in (tmp_path / "stack/logs/postgres.log").read_text()
    assert "ready to exit" in (tmp_path / "stack/logs/valkey.log").read_text()
