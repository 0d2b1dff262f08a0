from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import Annotated, Any, Self
from weakref import WeakSet

import asyncpg
from sqlalchemy import DateTime, MetaData, Numeric, Text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.core.database_faults import DatabaseFaults
from app.core.driver import STATEMENT_SECONDS, Driver, begin_sql, commit, roll_back
from app.core.engine import POOLS, driver_of, open_engine
from app.core.errors import OutdatedConnectionError, OutdatedStatementError, ServiceUnavailableError
from app.core.metrics import DATABASE_TIMEOUTS, DATABASE_WAIT_SECONDS
from app.core.postgres_errors import explain, is_away, is_outdated, is_read_only
from app.core.settings import Settings
from app.core.shares import Shares

logger = logging.getLogger(__name__)

# How long a transaction waits for its connection.
_ACQUIRE_SECONDS = 10.0
_RETRY_AFTER_SECONDS = 1
_CLOSE_SECONDS = 5.0

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

    def __init__(self, connection: AsyncConnection, driver: Driver) -> None:
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

    def __init__(
        self, engine: AsyncEngine, drivers: WeakSet[Driver], shares: Shares, begin: str, *, is_pooled: bool
    ) -> None:
        self._engine = engine
        self._drivers = drivers
        # Connections to a server that takes no writes any more.
        self._left: WeakSet[Driver] = WeakSet()
        self._shares = shares
        self._begin = begin
        self._is_pooled = is_pooled
        self._is_closed = False
        self._faults = DatabaseFaults()
        POOLS.add(engine)

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        pool_size: int | None = None,
        statement_seconds: float = STATEMENT_SECONDS,
        is_direct: bool = False,
    ) -> Self:
        """Create the pool. Connections are opened when they are needed.

        Args:
            settings: where Postgres is.
            pool_size: how many connections at most, if not as many as the settings say.
            statement_seconds: how long one statement may take. More than the default is for reports only.
            is_direct: whether to pass by a pooler that stands in between.
        """
        drivers: WeakSet[Driver] = WeakSet()
        size = pool_size or settings.database_pool_size
        address = settings.direct_database if is_direct else settings.database
        engine = open_engine(address, size, statement_seconds=statement_seconds, drivers=drivers)
        return cls(engine, drivers, Shares(size), begin_sql(statement_seconds), is_pooled=address.is_pooled)

    @property
    def was_full(self) -> bool:
        """Whether Postgres has said within the last half minute that its disk has no room."""
        return self._faults.was_full

    async def close(self) -> None:
        """Close every connection, within a few seconds even if Postgres does not respond.

        Those that a task still uses are cut off, and one that is opened from now on is closed after its use: nobody
        else would ever close them.
        """
        self._is_closed = True
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._engine.dispose()
        except TimeoutError:
            logger.warning("database_closed_late")
        finally:
            for driver in list(self._drivers):
                driver.terminate()
            # A transport closes its socket in the next turn of the loop, which may be the last one.
            await asyncio.sleep(0)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run the block in one transaction, which is committed at its end, or rolled back if it raises an error.

        If the connection is lost during the commit, or the commit is cancelled, it is not known whether it happened.

        Raises:
            ServiceUnavailableError: Postgres cannot be reached or refuses us, the connection was lost, or a limit was
                reached: for a connection, for a lock, for a statement, or between two statements.
            OutdatedStatementError: the schema has changed under a prepared statement.
            OutdatedConnectionError: the connection takes no writes. The next one may lead to a server that does.
            LostTransactionError: the block has ignored an error of one of its statements.
        """
        try:
            async with self._connection() as (connection, driver):
                transaction = Transaction(connection, driver)
                try:
                    await driver.execute(self._begin)
                    yield transaction
                    await transaction._finish()  # noqa: SLF001 - the two classes are one mechanism
                except BaseException as error:  # raised again
                    await roll_back(driver, error)
                    raise
                await commit(driver)
        except Exception as error:  # raised again, as ServiceUnavailableError if Postgres is away
            await self._translate(error)
            raise
        await transaction._run_after_commit()  # noqa: SLF001 - see above

    async def fetchval(self, sql: str, *values: object) -> Any:
        """The first column of the first row of one statement in a transaction of its own, or None; see `fetch`."""
        rows = await self.fetch(sql, *values)
        return rows[0][0] if rows else None

    async def fetch(self, sql: str, *values: object) -> Sequence[asyncpg.Record]:
        """All rows of one statement in a transaction of its own, in one round trip.

        If the connection is lost meanwhile, or this is cancelled, it is not known whether the statement has happened.

        Raises:
            ServiceUnavailableError: as `transaction`.
            OutdatedStatementError: the schema has changed under a prepared statement.
        """
        if self._is_pooled:
            # Its limits hold for one transaction only.
            async with self.transaction() as tx:
                return await tx.fetch(sql, *values)
        try:
            async with self._connection() as (_, driver):
                return await driver.fetch(sql, *values)
        except Exception as error:  # raised again, as ServiceUnavailableError if Postgres is away
            await self._translate(error)
            raise

    async def _translate(self, error: Exception) -> None:
        if is_outdated(error):
            await self._forget_statements(explain(error))
            raise OutdatedStatementError(retry_after=_RETRY_AFTER_SECONDS) from error
        if not is_away(error):
            return
        self._faults.note(error)
        if is_read_only(error):
            # The address, or another of the hosts, may lead to the one that does.
            self._left.update(self._drivers)
            raise OutdatedConnectionError(retry_after=_RETRY_AFTER_SECONDS) from error
        raise ServiceUnavailableError(retry_after=_RETRY_AFTER_SECONDS) from error

    async def _forget_statements(self, reason: str) -> None:
        """Forget the prepared statements of every connection, so that the schema's change is met only once."""
        logger.info("prepared_statements_forgotten", extra={"reason": reason})
        for driver in list(self._drivers):
            if not driver.is_closed():
                await driver.reload_schema_state()
        self._engine.sync_engine.dialect._invalidate_schema_cache()  # type: ignore[attr-defined]  # noqa: SLF001 - the dialect of asyncpg has it, and it is the only way to its cache

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[AsyncConnection, Driver]]:
        async with AsyncExitStack() as stack:
            connection, driver = await self._acquire(stack)
            try:
                yield connection, driver
            finally:
                if not driver.is_closed() and (self._is_closed or driver.is_in_transaction()):
                    driver.terminate()
                if driver.is_closed():
                    await connection.invalidate()

    async def _acquire(self, stack: AsyncExitStack) -> tuple[AsyncConnection, Driver]:
        began = monotonic()
        try:
            async with asyncio.timeout(_ACQUIRE_SECONDS):
                if (share := self._shares.current()) is not None:
                    await stack.enter_async_context(share)
                connection = await stack.enter_async_context(self._engine.connect())
                return connection, await self._live_driver(connection)
        except TimeoutError as error:
            DATABASE_TIMEOUTS.inc()
            raise TimeoutError(f"No connection of the pool was free within {_ACQUIRE_SECONDS:.0f} s") from error
        finally:
            DATABASE_WAIT_SECONDS.observe(monotonic() - began)

    async def _live_driver(self, connection: AsyncConnection) -> Driver:
        """The driver's connection. One that Postgres has closed, or that takes no writes, is replaced."""
        driver = await driver_of(connection)
        while driver.is_closed() or driver in self._left:
            driver.terminate()
            await connection.invalidate()
            driver = await driver_of(connection)
        return driver
