"""What Alembic runs: the operator's DATABASE_URL, the application's metadata, one migrator of a database at a time.

Up to 0012, a migration is one transaction. Later ones run in steps with a transaction each: see `steps.py`.
"""

import asyncio
import logging
import time
from typing import Any

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.core.driver import Driver, driver_seconds, open_connection
from app.core.settings import load_settings
from app.models import metadata

logger = logging.getLogger("migrations")

_DIALECT = "postgresql+asyncpg://"

# Any constant will do; it keeps two migrators of one database apart.
_MIGRATION_LOCK = 74_710_001
# How long a migrator waits for another one, and how often it looks.
_TURN_SECONDS = 3600.0
_LOOK_SECONDS = 0.2
# An index of a large table takes its time.
_STATEMENT_SECONDS = 3600
# Every query of the running servers queues behind a migration that waits for a table, and is refused after two seconds:
# the migration gives up sooner.
_LIMITS = (
    "SET lock_timeout = '300ms'",
    "SET idle_in_transaction_session_timeout = '5s'",
    f"SET statement_timeout = '{_STATEMENT_SECONDS}s'",
)


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=False,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _run_alone(connection: Connection) -> None:
    for statement in _LIMITS:
        connection.exec_driver_sql(statement)
    connection.commit()
    _wait_for_turn(connection)
    # The lock is the connection's: if this process is killed, Postgres releases it once the last statement has ended.
    _run(connection)


def _wait_for_turn(connection: Connection) -> None:
    """Take the lock of migrators.

    It is asked for again and again: a statement that waits for it would have a snapshot, and CREATE INDEX CONCURRENTLY
    of the migrator that has the lock would wait for that snapshot.
    """
    deadline = time.monotonic() + _TURN_SECONDS
    is_told = False
    while not _has_turn(connection):
        if time.monotonic() > deadline:
            raise CommandError("Another `junis migrate` has been running for an hour: look after it, and try again")
        if not is_told:
            logger.info("Waiting for another `junis migrate` of this database")
            is_told = True
        time.sleep(_LOOK_SECONDS)


def _has_turn(connection: Connection) -> bool:
    has_lock = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _MIGRATION_LOCK}).scalar_one()
    connection.commit()
    return bool(has_lock)


async def _migrate() -> None:
    # The lock of migrators belongs to a session, which a pooler in transaction mode would change.
    address = load_settings().direct_database

    async def connect(**_options: Any) -> Driver:
        limit = driver_seconds(_STATEMENT_SECONDS)
        return await open_connection(address, application_name="junis-migrate", command_timeout=limit)

    engine = create_async_engine(
        _DIALECT,
        poolclass=NullPool,
        connect_args={"async_creator_fn": connect},
    )
    async with engine.connect() as connection:
        await connection.run_sync(_run_alone)
    await engine.dispose()


def _print_sql() -> None:
    context.configure(url=_DIALECT, target_metadata=metadata, literal_binds=True, transaction_per_migration=True)
    for statement in _LIMITS:
        context.execute(statement)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    _print_sql()
else:
    asyncio.run(_migrate())
