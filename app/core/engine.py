"""SQLAlchemy's engine: the pool of the driver's connections."""

from typing import Any, cast
from weakref import WeakSet

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.core.database_url import DatabaseAddress
from app.core.driver import Driver, driver_seconds, open_connection, session_limits_sql, statement_options
from app.core.json import read_json, storable_json


def open_engine(
    address: DatabaseAddress, pool_size: int, *, statement_seconds: float, drivers: WeakSet[Driver]
) -> AsyncEngine:
    """An engine that opens connections when they are needed, and adds each of them to `drivers`.

    Args:
        address: where Postgres is.
        pool_size: how many connections at most.
        statement_seconds: how long one statement may take.
        drivers: the connections that are open.
    """

    async def connect(**_options: Any) -> Driver:
        limit = driver_seconds(statement_seconds)
        driver = await open_connection(
            address, application_name="junis", session={"timezone": "UTC"}, command_timeout=limit
        )
        if not address.is_pooled:
            await driver.execute(session_limits_sql(statement_seconds))
        drivers.add(driver)
        return driver

    # AUTOCOMMIT leaves BEGIN and COMMIT to `Database`. SQLAlchemy and the driver's own statements then share one real
    # transaction, and no session can commit a part of it.
    return create_async_engine(
        "postgresql+asyncpg://",
        isolation_level="AUTOCOMMIT",
        # The parameters of a statement may be a prompt, which must not be logged.
        hide_parameters=True,
        json_serializer=storable_json,
        json_deserializer=read_json,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"async_creator_fn": connect, **statement_options(address)},
    )


async def driver_of(connection: AsyncConnection) -> Driver:
    """The driver's connection below one of the engine's."""
    pooled = await connection.get_raw_connection()
    return cast("Driver", pooled.driver_connection)
