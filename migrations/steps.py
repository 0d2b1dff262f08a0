"""Steps of a migration that runs while requests are served.

Each step is a short transaction of its own, and what is done already is not done again: a migration that was
interrupted is simply run once more. See docs/adr/0018-migrations-in-short-steps.md.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from alembic import op
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

logger = logging.getLogger(__name__)

# Whatever uses a table queues behind a step that waits for it.
QUEUE_MS = 300
# For waits that hold up nobody but VACUUM and other migrations.
_PATIENCE_MS = 60_000
# How long a step is tried again.
_TRY_SECONDS = 300.0
_FIRST_PAUSE_SECONDS = 0.3
_LONGEST_PAUSE_SECONDS = 5.0
# lock_not_available, deadlock_detected
_BUSY = frozenset({"55P03", "40P01"})
# One transaction of so many rows takes a fraction of a second.
_BATCH_ROWS = 5000
_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"


@contextmanager
def online() -> Iterator[None]:
    """Run the block outside the migration's own transaction, which would keep every lock until its end."""
    with op.get_context().autocommit_block():
        yield


def value(query: str) -> Any:
    """The first column of the query's first row; None if there is no row, or if the SQL is only printed."""
    if op.get_context().as_sql:
        return None
    return op.get_bind().execute(text(query)).scalar()


def alter(tables: Sequence[str], *statements: str) -> None:
    """Run statements that lock tables for a moment, in one transaction; again and again while the tables are in use.

    Args:
        tables: the tables that exist already and that the statements lock, in whatever mode.
        statements: each must be quick, however large the tables are.
    """

    def run() -> None:
        op.execute(f"SET LOCAL lock_timeout = {_PATIENCE_MS}")
        # Autovacuum gives way to a lock that waits for a second, which the next ones never do.
        for table in tables:
            op.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE")
        op.execute(f"SET LOCAL lock_timeout = {QUEUE_MS}")
        for statement in statements:
            op.execute(statement)

    _retry(lambda: _in_transaction(run), statements[0])


def add_columns(table: str, columns: Mapping[str, str]) -> None:
    """Add columns to a table, given their names and types. A default must be a constant: no row is rewritten then."""
    added = ", ".join(f"ADD COLUMN IF NOT EXISTS {name} {kind}" for name, kind in columns.items())
    alter((table,), f"ALTER TABLE {table} {added}")


def add_constraint(table: str, name: str, definition: str) -> None:
    """Add a constraint. The rows that exist are checked while others read and change them."""
    known = value(f"SELECT convalidated FROM pg_constraint WHERE conname = '{name}' AND conrelid = '{table}'::regclass")
    if known is None:
        alter((table,), f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID")
    if not known:
        _patiently(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def create_index(name: str, definition: str, *, unique: bool = False) -> None:
    """Create an index while others read and change the table.

    Args:
        name: the name of the index.
        definition: what follows the name in `CREATE INDEX`: `ON`, the table, the columns and so on.
        unique: whether it refuses equal rows.
    """

    def run() -> None:
        # Left behind by a run that was interrupted, or had to give up.
        if value(f"SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{name}')"):
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        # It waits for every transaction that is older, without keeping anybody from the table.
        op.execute("SET lock_timeout = 0")
        op.execute(f"CREATE {'UNIQUE ' if unique else ''}INDEX CONCURRENTLY IF NOT EXISTS {name} {definition}")

    _retry(run, f"CREATE INDEX {name}")


def drop_index(name: str) -> None:
    """Drop an index while others read and change the table. Statements that need it become slower, not wrong."""

    def run() -> None:
        op.execute("SET lock_timeout = 0")
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")

    _retry(run, f"DROP INDEX {name}")


def fill(table: str, statement: str) -> None:
    """Run a statement for all rows of a table, in batches with a transaction each.

    Args:
        table: a table whose key is `id`, a UUID.
        statement: an idempotent `INSERT … SELECT … FROM batch`; `batch` has some of the table's rows.
    """
    if op.get_context().as_sql:
        op.execute(f"WITH batch AS (SELECT * FROM {table}) {statement}")
        return
    last = _BEFORE_ALL
    op.execute(f"SET lock_timeout = {QUEUE_MS}")
    while last is not None:
        last = _retry(lambda after=last: value(_batch(table, statement, after)), statement)


def _batch(table: str, statement: str, after: object) -> str:
    """What runs the statement for the next rows, and returns the key of the last of them."""
    return (
        f"WITH batch AS (SELECT * FROM {table} WHERE id > '{after}' ORDER BY id LIMIT {_BATCH_ROWS}),"
        f" filled AS ({statement}) SELECT id FROM batch ORDER BY id DESC LIMIT 1"
    )


def _patiently(statement: str) -> None:
    """Run a statement that keeps nobody from reading and changing its table, and may therefore wait."""

    def run() -> None:
        op.execute(f"SET lock_timeout = {_PATIENCE_MS}")
        op.execute(statement)

    _retry(run, statement)


def _in_transaction(run: Callable[[], None]) -> None:
    op.execute("BEGIN")
    try:
        run()
        op.execute("COMMIT")
    except BaseException:  # raised again
        if not op.get_bind().invalidated:
            op.execute("ROLLBACK")
        raise


def _retry(step: Callable[[], Any], statement: str) -> Any:
    """Run a step, again and again as long as others keep it from its tables.

    Raises:
        DBAPIError: it has failed for another reason, or for five minutes.
    """
    deadline = time.monotonic() + _TRY_SECONDS
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return step()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _BUSY or time.monotonic() > deadline:
                raise
        if pause == _FIRST_PAUSE_SECONDS:
            logger.info("Waiting for tables that are in use: %s", statement.strip().partition("\n")[0])
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
