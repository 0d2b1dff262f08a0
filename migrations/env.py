"""What Alembic runs: the operator's DATABASE_URL, the application's metadata, one transaction a migration."""

import asyncio

from alembic import context
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.core.driver import driver_seconds, open_connection
from app.core.settings import load_settings
from app.models import metadata

# Any constant will do; it keeps two migrators of one database apart.
_MIGRATION_LOCK = 74_710_001
# How long a migrator waits until another one has finished.
_TURN_SECONDS = 600
# An index of a large table takes its time.
_STATEMENT_SECONDS = 3600
# Every query of the running servers queues behind a migration that waits for a busy table, and is refused after two
# seconds: the migration gives up sooner.
_LIMITS = (
    "SET LOCAL lock_timeout = '1s'",
    "SET LOCAL idle_in_transaction_session_timeout = '5s'",
    f"SET LOCAL statement_timeout = '{_STATEMENT_SECONDS}s'",
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
    connection.execute(text(f"SET LOCAL lock_timeout = '{_TURN_SECONDS}s'"))
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
    connection.commit()
    try:
        _run(connection)
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
        connection.commit()


def _limit(connection: Connection) -> None:
    """Limit the waits of a transaction that begins."""
    for statement in _LIMITS:
        connection.exec_driver_sql(statement)


async def _migrate() -> None:
    engine = create_async_engine(
        load_settings().sqlalchemy_url,
        poolclass=NullPool,
        connect_args={"async_creator_fn": open_connection, "command_timeout": driver_seconds(_STATEMENT_SECONDS)},
    )
    event.listen(engine.sync_engine, "begin", _limit)
    async with engine.connect() as connection:
        await connection.run_sync(_run_alone)
    await engine.dispose()


if context.is_offline_mode():
    context.configure(
        url=load_settings().sqlalchemy_url, target_metadata=metadata, literal_binds=True, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(_migrate())
