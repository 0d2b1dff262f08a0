"""`junis doctor`: each thing is broken for real, and its line says what is wrong and how to mend it."""

import asyncio
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devstack.servers import EmbeddedServers
from devstack.valkey import Valkey
from tests.chat_server import ChatServer, chat_server
from tests.cli.conftest import Junis
from tests.cli.databases import execute
from tests.cli.doctor_place import Patient, set_well
from tests.devstack.clients import command
from tests.vendors_simulator import VendorsSimulator

ROLE = "doctors_role"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server(key="the-right-key-of-the-tests") as running:
        yield running


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Valkey that may be stopped and set up badly."""
    folder = tmp_path_factory.mktemp("doctor")
    running = Valkey(folder / "valkey", log=folder / "valkey.log", durable=False)
    running.start()
    yield running
    running.stop(grace=5)


@pytest.fixture
def patient(
    database_url: str,
    embedded: EmbeddedServers,
    vendors: VendorsSimulator,
    server: ChatServer,
    junis: Junis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Patient:
    set_well(
        monkeypatch,
        tmp_path,
        chat_url=server.base_url,
        redis_url=embedded.redis_url,
        replicate_url=vendors.replicate_url,
    )
    execute(
        database_url,
        "INSERT INTO models (name, kind, description, max_output_tokens, is_active)"
        " VALUES ('llama', 'chat', '', 9, true)",
    )
    execute(
        database_url,
        "INSERT INTO prices (model_name, effective_at, per_call, per_second, per_output, per_million_prompt_tokens,"
        " per_million_completion_tokens) VALUES ('llama', now() - interval '1 day', 0, 0, 0, 0.5, 2)",
    )
    return Patient(junis, monkeypatch)


def moved(url: str, **parts: str) -> str:
    """The URL with another `user` or `password`."""
    split = urlsplit(url)
    user, password = parts.get("user", split.username), parts.get("password", split.password)
    return split._replace(netloc=f"{user}:{password}@{split.hostname}:{split.port}").geturl()


def test_if_all_is_well_nothing_fails_and_the_model_is_called_once(patient: Patient, server: ChatServer) -> None:
    report = patient.report()

    states = {name: line.state for name, line in report.items()}
    # Nobody has started an API or a worker here, the tests' Postgres has one role, and nothing else is set.
    assert states.pop("public url") == states.pop("role") == "warning"
    states.pop("worker")
    assert {name for name, state in states.items() if state == "not checked"} == {"upstreams", "webhooks"}
    assert set(states.values()) == {"ok", "not checked"}
    assert "answered in" in report["chat model"].found
    assert "0.5 / 2 credits a million tokens" in report["chat model"].found
    assert len(server.calls) == 1


def test_it_says_what_it_costs_and_calls_nobody_if_it_is_told_so(patient: Patient, server: ChatServer) -> None:
    said, unsaid = patient.run(), patient.run("--no-model-call")

    assert "The chat model is called once" in said.stderr
    assert unsaid.stderr == ""
    assert "it was not called" in unsaid.stdout
    assert len(server.calls) == 1


def test_each_check_is_a_line_and_no_secret_is_in_it(patient: Patient, database_url: str) -> None:
    patient.set(
        LLM_API_KEY="a-wrong-key-that-leaks", DATABASE_URL=moved(database_url, password="wrong-word-that-leaks")
    )
    patient.set(REDIS_URL="redis://:other-word-that-leaks@127.0.0.1:9/0")

    outcome = patient.run()

    assert len(outcome.stdout.splitlines()) == len(patient.report())
    assert "that-leaks" not in outcome.stdout + outcome.stderr
    assert "failed       chat model" in outcome.stdout


def test_settings_that_cannot_be_read_are_named(patient: Patient) -> None:
    patient.set(STORAGE="s3", LOG_LEVEL="LOUD")

    outcome = patient.run("--no-model-call")

    assert outcome.status == 1
    assert "failed       settings    LOG_LEVEL" in outcome.stdout
    assert "failed       settings    S3_BUCKET: required if STORAGE is 's3'" in outcome.stdout
    assert "not checked  database    the settings cannot be read" in outcome.stdout


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


def test_a_wrong_key_of_the_chat_model(patient: Patient, server: ChatServer) -> None:
    patient.set(LLM_API_KEY="wrong-key-of-the-tests")

    called, uncalled = patient.report()["chat model"], patient.report("--no-model-call")["chat model"]

    assert called.state == uncalled.state == "failed"
    assert called.found.startswith(f"{server.base_url} refuses the key")
    assert called.mend == uncalled.mend == "correct LLM_API_KEY"


def test_a_model_that_is_not_there_and_has_no_price(patient: Patient, server: ChatServer) -> None:
    patient.set(LLM_MODEL="lama")

    called, uncalled = patient.report(), patient.report("--no-model-call")

    assert f"{server.base_url} has no model lama" in called["chat model"].found
    assert "set LLM_MODEL to one of its models: llama" in called["chat model"].mend
    assert f"{server.base_url} does not list lama" in uncalled["chat model"].found
    assert "LLM_MODEL should probably be one of llama" in uncalled["chat model"].mend
    for line in (called["chat model"], uncalled["chat model"]):
        assert line.state == "failed"
        assert "lama has no price" in line.found
        assert "junis catalog price lama --prompt … --completion … (0 if it is free)" in line.mend


def test_a_model_that_refuses_tools(patient: Patient, server: ChatServer) -> None:
    server.takes_tools = False

    line = patient.report()["chat model"]

    assert line.state == "warning"
    assert "llama does not support tools" in line.found


def test_an_upstream_of_which_nothing_is_known(patient: Patient, server: ChatServer) -> None:
    wrong = f'{{"base_url": "{server.origin}", "api_key": "the-right-key-of-the-tests"}}'
    right = f'{{"base_url": "{server.base_url}", "api_key": "the-right-key-of-the-tests"}}'
    patient.set(LLM_UPSTREAMS=f'{{"one": {right}, "other": {wrong}}}')
    doubtful = patient.report("--no-model-call")["upstreams"]
    patient.set(LLM_UPSTREAMS=f'{{"one": {right}}}')
    well = patient.report("--no-model-call")["upstreams"]

    assert (doubtful.state, well.state) == ("warning", "ok")
    assert "LLM_UPSTREAMS.other.base_url" in doubtful.mend


def test_replicate_refuses_the_token_or_is_not_there(patient: Patient) -> None:
    patient.set(REPLICATE_API_TOKEN="revoked")
    refused = patient.report("--no-model-call")["replicate"]
    patient.set(REPLICATE_BASE_URL="http://127.0.0.1:9")
    away = patient.report("--no-model-call")["replicate"]
    patient.monkeypatch.delenv("REPLICATE_API_TOKEN")
    unset = patient.report("--no-model-call")["replicate"]

    assert (refused.state, away.state, unset.state) == ("failed", "failed", "not checked")
    assert "Replicate refuses the token" in refused.found
    assert "correct REPLICATE_BASE_URL" in away.mend


@pytest.mark.parametrize(("seconds", "state"), [(20, "warning"), (-7200, "failed")])
def test_a_clock_that_is_moved(patient: Patient, server: ChatServer, seconds: int, state: str) -> None:
    server.date = format_datetime(datetime.now(UTC) - timedelta(seconds=seconds), usegmt=True)

    line = patient.report("--no-model-call")["clock"]

    assert line.state == state
    assert f"s {'ahead of' if seconds > 0 else 'behind'} that of the chat model's server" in line.found
    assert "NTP" in line.mend


def test_a_clock_of_postgres_that_is_moved(patient: Patient, database_url: str) -> None:
    """Its role finds another `now()` first."""
    role = f"doctor_{secrets.token_hex(4)}"
    execute(database_url, f"CREATE SCHEMA {role}")
    later = "SELECT pg_catalog.now() + interval ''1 hour''"
    execute(
        database_url,
        f"CREATE FUNCTION {role}.now() RETURNS timestamptz LANGUAGE sql STABLE AS '{later}'",
    )
    execute(database_url, f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{role}'")
    execute(database_url, f"ALTER ROLE {role} SET search_path = {role}, pg_catalog, public")
    patient.set(DATABASE_URL=moved(database_url, user=role, password=role))

    line = patient.report("--no-model-call")["clock"]
    execute(database_url, f"DROP ROLE {role}")

    assert line.state == "failed"
    assert "behind that of Postgres" in line.found


def test_proxies_and_certificates_that_are_not_there(patient: Patient, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    patient.set(HTTPS_PROXY="http://127.0.0.1:9", SSL_CERT_FILE=str(tmp_path / "empty.pem"))

    report = patient.report("--no-model-call")

    line = report["proxies"]
    assert line.state == report["settings"].state == "failed"
    assert report["database"].state == "not checked"
    assert "SSL_CERT_FILE names a file that cannot be used" in line.found
    assert "HTTPS_PROXY names a proxy that cannot be reached" in line.found


def test_files_that_others_may_read(patient: Patient, tmp_path: Path) -> None:
    (tmp_path / "objects").chmod(0o755)
    (tmp_path / ".env").touch(mode=0o644)

    line = patient.report("--no-model-call")["files"]

    assert line.state == "warning"
    assert "chmod 600 .env" in line.mend
    assert f"chmod 700 {tmp_path / 'objects'}" in line.mend


def test_a_setting_that_is_doubtful(patient: Patient) -> None:
    patient.set(METRICS_TOKEN="changeme")

    line = patient.report("--no-model-call")["settings"]

    assert line.state == "warning"
    assert "METRICS_TOKEN is a placeholder" in line.found
