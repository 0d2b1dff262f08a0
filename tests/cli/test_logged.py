"""What commands write if nobody sits at a terminal: programs that run as services write one JSON object a line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.outcome import Outcome, run_process
from tests.cli.test_migrate import revisions
from tests.programs import ROOT

NOBODY_LISTENS = "postgresql://app:geheim@127.0.0.1:1/junis"


@pytest.fixture(autouse=True)
def _by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The format is decided by whether there is a terminal."""
    monkeypatch.delenv("LOG_FORMAT")


def lines_of(outcome: Outcome) -> list[dict[str, Any]]:
    """The lines of standard error, each an object."""
    return [json.loads(line) for line in outcome.stderr.splitlines()]


def test_a_migration_logs_json(empty_database_url: str) -> None:
    migrated = run_process("migrate")

    lines = lines_of(migrated)
    assert (migrated.status, migrated.stdout) == (0, "")
    assert [line["event"].startswith("Running upgrade") for line in lines] == [True] * len(revisions()) + [False]
    assert lines[-1]["event"] == "The database schema is up to date"
    assert all({"time", "level", "logger"} <= line.keys() for line in lines)


@pytest.mark.parametrize("command", [("migrate",), ("migrate", "--check")])
def test_a_failure_of_a_service_is_logged_as_json(command: tuple[str, ...]) -> None:
    refused = run_process(*command, DATABASE_URL=NOBODY_LISTENS)

    assert refused.status == 1
    failed = [line for line in lines_of(refused) if line["event"] == "command_failed"]
    assert [line["level"] for line in failed] == ["error"]
    assert failed[0]["reason"].startswith("Postgres cannot be reached: 127.0.0.1:1: ")
    assert "geheim" not in refused.stderr


@pytest.mark.parametrize("command", [("migrate",), ("orgs", "list"), ("verify-ledger",)])
@pytest.mark.parametrize("password", ["app:not-", None], ids=["wrong password", "nobody listens"])
def test_why_postgres_cannot_be_used_is_said_in_one_line(
    database_url: str, command: tuple[str, ...], password: str | None
) -> None:
    wrong = database_url.replace("app:", password) if password else NOBODY_LISTENS

    refused = run_process(*command, DATABASE_URL=wrong)

    [line] = refused.stderr.splitlines()
    assert (refused.status, refused.stdout) == (1, "")
    assert ("command_failed" in line) is (command == ("migrate",))


@pytest.mark.parametrize("command", ["serve", "worker", "migrate"])
def test_bad_settings_of_a_service_are_logged_as_json(command: str) -> None:
    refused = run_process(command, DATABASE_URL="mysql://app:geheim@localhost/junis", LOG_LEVEL="LOUD")

    assert refused.status == 2
    assert [line["reason"].partition(":")[0] for line in lines_of(refused)] == ["DATABASE_URL", "LOG_LEVEL"]
    assert "geheim" not in refused.stderr


@pytest.mark.parametrize("command", ["serve", "worker", "migrate"])
def test_whatever_goes_wrong_while_a_service_is_loaded_is_lines_of_json(tmp_path: Path, command: str) -> None:
    # The commands need it, and the worker, before they do anything.
    (tmp_path / "pydantic_settings.py").write_text(
        "import warnings\nwarnings.warn('old', DeprecationWarning)\nprint(1 / 0)"
    )

    crashed = run_process(command, PYTHONPATH=f"{tmp_path}:{ROOT}", PYTHONWARNINGS="always")

    lines = lines_of(crashed)
    assert (crashed.status, crashed.stdout) == (1, "")
    assert [line["level"] for line in lines if "DeprecationWarning: old" in line["event"]] == ["warning"]
    assert (lines[-1]["level"], lines[-1]["event"]) == ("critical", "crashed")
    assert lines[-1]["exception"].endswith("ZeroDivisionError: division by zero")


def test_a_crash_of_the_workers_own_program_is_one_json_object(tmp_path: Path) -> None:
    (tmp_path / "arq.py").write_text("raise RuntimeError('damaged')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}

    crashed = subprocess.run([sys.executable, "-m", "worker"], env=environment, capture_output=True, check=False)

    [line] = [json.loads(line) for line in crashed.stderr.splitlines()]
    assert (crashed.returncode, crashed.stdout) == (1, b"")
    assert (line["event"], line["exception"][-21:]) == ("crashed", "RuntimeError: damaged")


def test_other_commands_answer_in_words(empty_database_url: str) -> None:
    refused = run_process("orgs", "list")

    assert refused.stderr == "error: The database schema is missing or behind: run `junis migrate`\n"


def test_a_crash_while_the_application_is_loaded_is_one_json_object(tmp_path: Path) -> None:
    (tmp_path / "fastapi.py").write_text("raise RuntimeError('damaged')")

    crashed = run_process("serve", "--port", "0", PYTHONPATH=f"{tmp_path}:{ROOT}")

    last = lines_of(crashed)[-1]
    assert crashed.status == 1
    assert (last["level"], last["event"]) == ("critical", "crashed")
    assert last["exception"].endswith("RuntimeError: damaged")
