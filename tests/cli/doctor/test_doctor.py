"""`junis doctor`: each thing is broken for real, and its line says what is wrong and how to mend it."""

import secrets
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.chat_server import ChatServer
from tests.cli.databases import execute
from tests.cli.doctor.place import Patient, moved

ROLE = "doctors_role"


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


def test_a_proxy_that_is_not_there(patient: Patient) -> None:
    patient.set(HTTPS_PROXY="http://127.0.0.1:9")

    line = patient.report("--no-model-call")["proxies"]

    assert line.state == "failed"
    assert "HTTPS_PROXY names a proxy that cannot be reached" in line.found


def test_certificates_that_are_none(patient: Patient, tmp_path: Path) -> None:
    """No process can start with them, so that nothing else is checked."""
    (tmp_path / "empty.pem").write_text("nothing")
    patient.set(SSL_CERT_FILE=str(tmp_path / "empty.pem"))

    report = patient.report("--no-model-call")

    assert report["settings"].state == "failed"
    assert report["database"].state == "not checked"
    assert "SSL_CERT_FILE" in report["settings"].found + report["proxies"].found


def test_files_that_others_may_read(patient: Patient, tmp_path: Path) -> None:
    """The folder of the store is closed to others whenever it is opened."""
    (tmp_path / ".env").touch(mode=0o644)

    line = patient.report("--no-model-call")["files"]

    assert line.state == "warning"
    assert "chmod 600 .env" in line.mend


def test_a_setting_that_is_doubtful(patient: Patient) -> None:
    patient.set(METRICS_TOKEN="changeme")

    line = patient.report("--no-model-call")["settings"]

    assert line.state == "warning"
    assert "METRICS_TOKEN is a placeholder" in line.found
