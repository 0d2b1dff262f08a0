from __future__ import annotations

import logging
import socket
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Self, cast

import asyncpg
from sqlalchemy import DateTime, MetaData, Numeric, Text, exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.core.errors import ServiceUnavailableError
from app.core.json import read_json, storable_json
from app.core.settings import Settings

logger = logging.getLogger(__name__)

_AWAY = (
    # Postgres rolls back one of two transactions that wait for each other. It can simply be run again.
    asyncpg.DeadlockDetectedError,
    # Another transaction has kept a lock for longer than this one was to wait for it.
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresConnectionError,
    # Postgres is starting or stopping, or its main process is gone.
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    # The server is a standby, as after a failover. The next connection may reach the primary.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    # Postgres has closed the connection, and the driver has not noticed it yet.
    asyncpg.InternalClientError,
    exc.InterfaceError,
    exc.OperationalError,
    exc.TimeoutError,
    ConnectionError,
    TimeoutError,
    # A host name cannot be resolved, or a socket does not exist.
    socket.gaierror,
    FileNotFoundError,
    # The certificate is not the one that `sslmode` requires.
    ssl.SSLError,
)


Credits = Annotated[Decimal, mapped_column(Numeric(18, 6))]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]


def one_of(column: str, values: Iterable[str]) -> str:
    """The SQL condition that a column has one of these values. They are constants of the code, without quotes."""
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"


class Base(DeclarativeBase):
    """The base class of all tables. They share one metadata, which names all constraints."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class AttributionColumns:
    """The columns of a table whose rows carry an `Attribution`. `organization_id` is a column of the table itself.

    See `app.core.attribution`. They refer to no other table, because what they name may be deleted. Older rows have
    none.
    """

    user_id: Mapped[str | None] = mapped_column(Text)
    api_key_id: Mapped[str | None] = mapped_column(Text)
    agent: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(Text)
    session_id: Mapped[uuid.UUID | None]
    turn_id: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    traceparent: Mapped[str | None] = mapped_column(Text)


class Transaction:
    """One open Postgres transaction, with two interfaces.

    `session` is SQLAlchemy's. `fetch*` and `execute` run single statements on the driver's own connection, which is
    faster. Both work in the same transaction, which only `Database.transaction()` commits.
    """

    def __init__(self, connection: AsyncConnection, driver: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection
        self._driver = driver
        self._session: AsyncSession | None = None
        self._after_commit: list[Callable[[], Awaitable[None]]] = []

    @property
    def session(self) -> AsyncSession:
        """SQLAlchemy's session on this transaction. It is opened when it is first used."""
        if self._session is None:
            self._session = AsyncSession(bind=self._connection, expire_on_commit=False, autoflush=True)
        return self._session

    async def fetch(self, sql: str, *values: object) -> Sequence[asyncpg.Record]:
        """All rows of one statement. Its parameters are written `$1`, `$2` and so on."""
        await self._flush()
        return await self._driver.fetch(sql, *values)

    async def fetchrow(self, sql: str, *values: object) -> asyncpg.Record | None:
        """The first row of one statement, or None."""
        await self._flush()
        return await self._driver.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: object) -> Any:
        """The first column of the first row, or None."""
        await self._flush()
        return await self._driver.fetchval(sql, *values)

    async def execute(self, sql: str, *values: object) -> None:
        """Run one statement and discard its rows, if any."""
        await self._flush()
        await self._driver.execute(sql, *values)

    def after_commit(self, action: Callable[[], Awaitable[None]]) -> None:
        """Register what runs once this transaction is committed. If it fails, the error is logged and not raised."""
        self._after_commit.append(action)

    async def _flush(self) -> None:
        # A statement on the driver must see the changes that were made in the session.
        if self._session is not None:
            await self._session.flush()

    async def _finish(self) -> None:
        if self._session is not None:
            await self._session.flush()
            await self._session.close()

    async def _run_after_commit(self) -> None:
        for action in self._after_commit:
            try:
                await action()
            except Exception:  # the transaction is committed; a wake that was not sent costs a poll interval
                logger.exception("after_commit_failed")


class Database:
    """The connection pool, and the only code that commits."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Create the pool. Connections are opened when they are needed."""
        # AUTOCOMMIT leaves BEGIN and COMMIT to `transaction()`. SQLAlchemy and the driver's own statements then share
        # one real transaction, and no session can commit a part of it.
        engine = create_async_engine(
            settings.sqlalchemy_url,
            isolation_level="AUTOCOMMIT",
            # The parameters of a statement may be a prompt, which must not be logged.
            hide_parameters=True,
            json_serializer=storable_json,
            json_deserializer=read_json,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=10,
            connect_args={"timeout": 5, "server_settings": {"application_name": "junis", "timezone": "UTC"}},
        )
        return cls(engine)

    async def close(self) -> None:
        """Close every pooled connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run the block in one transaction, which is committed at its end, or rolled back if it raises an error.

        Raises:
            ServiceUnavailableError: Postgres cannot be reached, or the connection was lost.
        """
        try:
            async with self._connect() as (connection, driver):
                transaction = Transaction(connection, driver)
                async with driver.transaction():
                    yield transaction
                    await transaction._finish()  # noqa: SLF001 - the two classes are one mechanism
        except Exception as error:  # raised again, as ServiceUnavailableError if Postgres is away
            if not _is_away(error):
                raise
            logger.warning("database_away", extra={"reason": repr(error)})
            raise ServiceUnavailableError from error
        await transaction._run_after_commit()  # noqa: SLF001 - see above

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[tuple[AsyncConnection, asyncpg.Connection[asyncpg.Record]]]:
        async with self._engine.connect() as connection:
            driver = await self._live_driver(connection)
            try:
                yield connection, driver
            except asyncpg.InternalClientError:
                # Postgres does not answer on it any more, so closing it in the usual way could take forever.
                driver.terminate()
                raise
            finally:
                if driver.is_closed():
                    await connection.invalidate()

    async def _live_driver(self, connection: AsyncConnection) -> asyncpg.Connection[asyncpg.Record]:
        """The driver's connection. A pooled one that Postgres has closed is replaced, without a round trip."""
        driver = await _driver_of(connection)
        while driver.is_closed():
            await connection.invalidate()
            driver = await _driver_of(connection)
        return driver


async def _driver_of(connection: AsyncConnection) -> asyncpg.Connection[asyncpg.Record]:
    pooled = await connection.get_raw_connection()
    return cast("asyncpg.Connection[asyncpg.Record]", pooled.driver_connection)


def _is_away(error: Exception) -> bool:
    # SQLAlchemy wraps errors while it opens a connection, and has no class of its own for some of them.
    wrapped = error.orig.__cause__ if isinstance(error, exc.DBAPIError) and error.orig else None
    return isinstance(error, _AWAY) or isinstance(wrapped, _AWAY)
