import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.cli.commands import run as run_command
from devstack.servers import EmbeddedServers
from tests.cli.databases import clone, execute, sibling
from tests.cli.outcome import Outcome, run_process

Junis = Callable[..., Outcome]


@pytest.fixture(scope="session")
def template(embedded: EmbeddedServers) -> str:
    """The name of a database whose schema `junis migrate` has made."""
    name = "cli_template"
    execute(embedded.database_url, f"CREATE DATABASE {name}")
    assert run_process("migrate", DATABASE_URL=sibling(embedded.database_url, name)).status == 0
    return name


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a .env, and defaults for the settings that a command reads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLM_MODEL", raising=False)
    # As on a terminal. What a container's log shows has tests of its own.
    monkeypatch.setenv("LOG_FORMAT", "text")


@pytest.fixture
def empty_database_url(embedded: EmbeddedServers, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a database without tables; DATABASE_URL is set to it."""
    with clone(embedded.database_url, "template0") as url:
        monkeypatch.setenv("DATABASE_URL", url)
        yield url


@pytest.fixture
def database_url(embedded: EmbeddedServers, template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a database as `junis migrate` leaves it; DATABASE_URL is set to it."""
    with clone(embedded.database_url, template) as url:
        monkeypatch.setenv("DATABASE_URL", url)
        yield url


@pytest.fixture
def logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undoes what a command that logs has set up for its process."""
    for name in ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
        if hasattr(logging, name):
            monkeypatch.setattr(logging, name, getattr(logging, name))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    loggers = [logging.getLogger(name) for name in (None, "httpx", "uvicorn.access")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture
def junis(capsys: pytest.CaptureFixture[str], logging_as_before: None) -> Junis:
    """Runs a command in this process: `junis("orgs", "list")`."""

    def run(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as exit_:
            run_command(arguments)
        output = capsys.readouterr()
        return Outcome(int(exit_.value.code or 0), output.out, output.err)

    return run


@pytest.fixture
def acme(database_url: str, junis: Junis) -> str:
    """The id of the organization Acme, owned by ada@acme.example."""
    created = junis("orgs", "create", "--name", "Acme", "--plan", "pro", "--owner-email", "ada@acme.example")
    return created.stdout.strip()
