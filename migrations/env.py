"""What Alembic runs: the operator's DATABASE_URL, the application's metadata, one transaction a migration."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.core.settings import load_settings
from app.models import metadata

# Any constant will do; it keeps two migrators of one database apart.
_MIGRATION_LOCK = 74_710_001


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
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
    # A migration that waits for a busy table would make every query behind it wait too.
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.commit()
    try:
        _run(connection)
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
        connection.commit()


async def _migrate() -> None:
    engine = create_async_engine(load_settings().sqlalchemy_url, poolclass=NullPool)
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
