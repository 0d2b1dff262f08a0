import secrets
import subprocess
import sys
from urllib.parse import urlsplit

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.core import schema
from app.core.paths import ALEMBIC_INI
from tests.cli.conftest import Junis
from tests.cli.databases import execute, query
from tests.cli.outcome import run_process


def revisions() -> list[str]:
    """Every revision, oldest first."""
    scripts = ScriptDirectory.from_config(Config(ALEMBIC_INI))
    return [script.revision for script in scripts.walk_revisions()][::-1]


def test_an_empty_database_is_brought_up_to_date(empty_database_url: str) -> None:
    migrated = run_process("migrate")

    applied = [line.partition("->")[2].partition(",")[0].strip() for line in migrated.stderr.splitlines()[:-1]]
    assert (migrated.status, migrated.stdout) == (0, "")
    assert applied == revisions()
    assert migrated.stderr.splitlines()[-1] == "The database schema is up to date"


def test_a_database_that_is_up_to_date_is_not_changed(database_url: str, junis: Junis) -> None:
    again = junis("migrate")

    assert (again.status, again.stderr) == (0, "The database schema is up to date\n")


def test_the_server_knows_every_revision_in_its_order() -> None:
    assert list(schema._revisions()) == revisions()[::-1]


def test_the_migrated_schema_equals_the_models(database_url: str) -> None:
    # Raises an error if the models and the schema differ in a table, column, index or constraint.
    command.check(Config(ALEMBIC_INI))


def test_every_migration_can_be_downgraded(database_url: str, junis: Junis) -> None:
    command.downgrade(Config(ALEMBIC_INI), "base")
    left = query(database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    again = junis("migrate")

    assert left == [("alembic_version",)]
    assert again.status == 0
    command.check(Config(ALEMBIC_INI))


def test_two_migrations_at_the_same_time_do_no_harm(empty_database_url: str) -> None:
    arguments = [sys.executable, "-m", "app.cli", "migrate"]
    both = [subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) for _ in range(2)]

    logs = [process.communicate()[1] for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert "".join(logs).count("Running upgrade") == len(revisions())


def test_check_fails_for_a_database_that_is_behind(empty_database_url: str, junis: Junis) -> None:
    checked = junis("migrate", "--check")

    assert checked.status == 1
    assert checked.stderr == "error: The database schema is missing or behind: run `junis migrate`\n"
    assert junis("orgs", "list").status == 1


def test_check_succeeds_for_a_database_that_is_up_to_date(database_url: str, junis: Junis) -> None:
    assert junis("migrate", "--check").status == 0


def test_a_database_of_a_newer_version_is_not_changed(database_url: str, junis: Junis) -> None:
    """As after a rolling update was rolled back: this version works on the newer schema, which only adds to its own."""
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")

    migrated = junis("migrate")

    assert migrated.status == 0
    assert "newer version" in migrated.stderr
    assert junis("migrate", "--check").status == 0
    assert query(database_url, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_other_commands_say_that_the_schema_is_missing(empty_database_url: str, junis: Junis) -> None:
    for words in (("orgs", "list"), ("demo",), ("credits", "balance", "--org", "Acme")):
        refused = junis(*words)

        assert refused.status == 1
        assert refused.stderr == "error: The database schema is missing or behind: run `junis migrate`\n"


def test_a_role_that_may_create_nothing_is_told_what_to_grant(empty_database_url: str) -> None:
    name = f"plain_{secrets.token_hex(4)}"
    execute(empty_database_url, f"CREATE ROLE {name} LOGIN PASSWORD 'plain'")
    url = urlsplit(empty_database_url)

    plain = url._replace(netloc=f"{name}:plain@{url.hostname}:{url.port}").geturl()
    refused = run_process("migrate", DATABASE_URL=plain)
    execute(empty_database_url, f"DROP ROLE {name}")

    assert refused.status == 1
    assert refused.stderr.splitlines()[-1] == (
        "error: The role of DATABASE_URL lacks a privilege: permission denied for schema public. As its owner, run"
        " `junis migrate`, or: GRANT USAGE, CREATE ON SCHEMA public TO the role of DATABASE_URL"
    )
    assert "Traceback" not in refused.stderr
