"""What the SQL of migrations may do while requests are served. Those up to 0012 were written before these rules."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from app.core.paths import ALEMBIC_INI
from tests.upgrades.rows import OLDER_SCHEMA

_LINTER = Path(sys.executable).with_name("squawk")
_NOT_MEANT = (
    "prefer-bigint-over-int",  # a matter of the models
    "prefer-robust-stmts",  # `migrations/steps.py` looks before it adds; `test_interrupted.py` shows it
    "ban-drop-constraint",  # a rule that the next version breaks has to go before it comes
)


def faults_in(sql: str) -> list[str]:
    """The rules that the linter finds broken in some SQL."""
    done = subprocess.run(
        [_LINTER, "--reporter", "json", "--pg-version", "14", "--exclude", ",".join(_NOT_MEANT)],
        input=sql,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.stdout, done.stderr
    return [f"{fault['rule_name']}: line {fault['line']}: {fault['message']}" for fault in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def sql() -> str:
    """The SQL of all migrations that run while requests are served, as Alembic prints it."""
    printed = io.StringIO()
    command.upgrade(Config(ALEMBIC_INI, output_buffer=printed), f"{OLDER_SCHEMA}:head", sql=True)
    return printed.getvalue()


def test_no_migration_locks_a_table_for_long_or_breaks_the_version_before(sql: str) -> None:
    assert faults_in(sql) == []


def test_no_migration_keeps_locks_until_its_end(sql: str) -> None:
    """Each one leaves its own transaction before its first statement: see `steps.online`."""
    begun = re.findall(r"^BEGIN;\n\n-- Running upgrade (.*)\n\n(.*)$", sql, re.MULTILINE)

    assert [number for number, _ in begun] == re.findall(r"^-- Running upgrade (.*)$", sql, re.MULTILINE)
    assert {first for _, first in begun} == {"COMMIT;"}


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("CREATE INDEX ix ON generations (model);", "require-concurrent-index-creation"),
        ("ALTER TABLE outputs ADD CONSTRAINT ck CHECK (position >= 0);", "constraint-missing-not-valid"),
        ("ALTER TABLE outputs ADD COLUMN n uuid DEFAULT gen_random_uuid();", "adding-field-with-default"),
        ("ALTER TABLE outputs ALTER COLUMN position TYPE bigint;", "changing-column-type"),
        ("ALTER TABLE outputs ADD PRIMARY KEY (storage_path);", "adding-serial-primary-key-field"),
        ("ALTER TABLE outputs RENAME COLUMN position TO number;", "renaming-column"),
        ("ALTER TABLE outputs DROP COLUMN position;", "ban-drop-column"),
    ],
)
def test_the_linter_finds_what_it_is_there_for(statement: str, rule: str) -> None:
    limits = "SET lock_timeout = '300ms';\nSET statement_timeout = '60s';\n"

    assert rule in {fault.partition(":")[0] for fault in faults_in(limits + statement)}
