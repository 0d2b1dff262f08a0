"""What `junis doctor` says of Postgres, Redis and a folder."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.valkey import Valkey
from tests.cli.databases import execute
from tests.cli.doctor.place import Patient, moved
from tests.devstack.clients import command

ROLE = "doctors_role"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Valkey that may be stopped and set up badly."""
    folder = tmp_path_factory.mktemp("doctor")
    running = Valkey(folder / "valkey", log=folder / "valkey.log", durable=False)
    running.start()
    yield running
    running.stop(grace=5)


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"password": "wrong"}, "Postgres refuses the user or the password of DATABASE_URL"),
        ({"user": "nobody"}, "Postgres refuses the user or the password of DATABASE_URL"),
    ],
)
def test_a_wrong_password_of_postgres(patient: Patient, database_url: str, parts: dict[str, str], found: str) -> None:
    patient.set(DATABASE_URL=moved(database_url, **parts))

    report = patient.report("--no-model-call")

    assert report["database"].state == "failed"
    assert found in report["database"].found
    assert "correct DATABASE_URL" in report["database"].mend
    for name in ("role", "schema", "pooler", "prices"):
        assert report[name].state == "not checked"
    # The others have their lines all the same.
    assert report["redis"].state == report["store"].state == "ok"


def test_a_database_without_a_schema(patient: Patient, empty_database_url: str) -> None:
    report = patient.report("--no-model-call")

    assert (report["schema"].state, report["schema"].found) == ("failed", "missing")
    assert report["schema"].mend == "run `junis migrate`"


def test_a_role_that_lacks_privileges(patient: Patient, database_url: str) -> None:
    execute(database_url, f"DROP ROLE IF EXISTS {ROLE}")
    execute(database_url, f"CREATE ROLE {ROLE} LOGIN PASSWORD 'of-the-role'")
    execute(database_url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {ROLE}")
    patient.set(DATABASE_URL=moved(database_url, user=ROLE, password="of-the-role"))

    line = patient.report("--no-model-call")["role"]
    execute(database_url, f"DROP OWNED BY {ROLE}")
    execute(database_url, f"DROP ROLE {ROLE}")

    assert line.state == "failed"
    assert "INSERT on agents" in line.found
    assert "run `junis migrate`" in line.mend


def test_a_valkey_that_is_stopped_or_refuses(patient: Patient, valkey: Valkey) -> None:
    patient.set(REDIS_URL=valkey.url.replace("redis://:", "redis://:wrong"))
    refused = patient.report("--no-model-call")["redis"]
    patient.set(REDIS_URL=valkey.url)
    well = patient.report("--no-model-call")["redis"]
    valkey.stop(grace=5)
    stopped = patient.report("--no-model-call")
    valkey.start()

    assert (refused.state, well.state) == ("failed", "ok")
    assert "refuses the user, the password or the database number of REDIS_URL" in refused.found
    assert (stopped["redis"].state, stopped["worker"].state) == ("failed", "not checked")
    assert "start Redis or Valkey" in stopped["redis"].mend


@pytest.mark.parametrize(
    ("setting", "normal", "state", "found"),
    [
        (("maxmemory-policy", "allkeys-lru"), "noeviction", "warning", "it drops keys when its memory is full"),
        (("replicaof", "127.0.0.1 1"), "no one", "failed", "it is a replica"),
        (("min-replicas-to-write", "1"), "0", "failed", "it accepts no writes"),
    ],
)
def test_a_valkey_that_keeps_nothing(
    patient: Patient, valkey: Valkey, setting: tuple[str, str], normal: str, state: str, found: str
) -> None:
    set_up(valkey, *setting)
    patient.set(REDIS_URL=valkey.url)

    line = patient.report("--no-model-call")["redis"]
    set_up(valkey, setting[0], normal)

    assert line.state == state
    assert found in line.found
    assert line.mend


def set_up(valkey: Valkey, name: str, value: str) -> None:
    words = ["REPLICAOF", *value.split()] if name == "replicaof" else ["CONFIG", "SET", name, value]
    asyncio.run(command(valkey.url, *words))
    if name == "maxmemory-policy":
        asyncio.run(command(valkey.url, "CONFIG", "SET", "maxmemory", "100mb"))


@pytest.mark.parametrize("kind", ["file", "read only"])
def test_a_folder_that_cannot_be_written_to(patient: Patient, tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").touch()
    # Nobody can make a folder there, not even root.
    patient.set(LOCAL_STORAGE_DIR=str(tmp_path / "file") if kind == "file" else "/proc/junis")

    line = patient.report("--no-model-call")["store"]

    assert line.state == "failed"
    assert "(LOCAL_STORAGE_DIR)" in line.found
    assert line.mend == "give the folder of LOCAL_STORAGE_DIR to the server's user"
