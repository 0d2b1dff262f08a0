import pytest

from tests.cli.conftest import Junis
from tests.cli.databases import sibling
from tests.cli.outcome import run_process

NOBODY_LISTENS = "postgresql://app:geheim@127.0.0.1:1/junis"
COMMANDS = [("migrate",), ("migrate", "--check"), ("orgs", "list"), ("demo",)]


@pytest.mark.parametrize("command", COMMANDS)
def test_if_postgres_is_away_the_error_is_one_line(command: tuple[str, ...]) -> None:
    refused = run_process(*command, DATABASE_URL=NOBODY_LISTENS)

    assert (refused.status, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert refused.stderr.startswith("error: Postgres cannot be reached: ")
    assert "127.0.0.1" in refused.stderr
    assert "geheim" not in refused.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_if_the_password_is_wrong_the_error_is_one_line(
    database_url: str, junis: Junis, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url.replace("app:", "app:not-"))

    refused = junis(*command)

    assert (refused.status, refused.stdout) == (1, "")
    assert refused.stderr == "error: Postgres refuses the user or the password of DATABASE_URL\n"


def test_if_the_database_does_not_exist_the_error_is_one_line(
    database_url: str, junis: Junis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", sibling(database_url, "nowhere"))

    refused = junis("migrate")

    assert (refused.status, refused.stderr) == (1, "error: The database that DATABASE_URL names does not exist\n")


@pytest.mark.parametrize("command", [*COMMANDS, ("serve",), ("worker",)])
def test_each_bad_setting_is_named_on_its_own_line(
    junis: Junis, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://app:geheim@localhost/junis")
    monkeypatch.setenv("LOG_LEVEL", "LOUD")

    refused = junis(*command)

    assert (refused.status, refused.stdout) == (2, "")
    first, second = refused.stderr.splitlines()
    assert first == "error: DATABASE_URL: must start with one of: postgresql://, postgres://"
    assert second.startswith("error: LOG_LEVEL: ")
    assert "geheim" not in refused.stderr


@pytest.mark.parametrize("arguments", [(), ("orgs",), ("orgs", "delete"), ("orgs", "create", "--name", "Acme")])
def test_a_command_that_is_not_understood_shows_the_usage(junis: Junis, arguments: tuple[str, ...]) -> None:
    refused = junis(*arguments)

    assert refused.status == 2
    assert "Usage: junis" in refused.stdout + refused.stderr
