"""SQLAlchemy's engine: the pool of the driver's connections, and how it is used."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, cast
from weakref import WeakSet

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from app.core.database_url import DatabaseAddress
from app.core.driver import Driver, driver_seconds, open_connection, session_limits_sql, statement_options
from app.core.json import read_json, storable_json


class _Pools(Collector):
    """The pools of this process, counted when somebody asks: use of them costs nothing more."""

    def __init__(self) -> None:
        self._engines: WeakSet[AsyncEngine] = WeakSet()

    def add(self, engine: AsyncEngine) -> None:
        """Count this one, too, for as long as it is there."""
        self._engines.add(engine)

    def describe(self) -> Sequence[GaugeMetricFamily]:
        """What `collect` offers, without values."""
        return (
            GaugeMetricFamily("junis_database_connections", "Connections to Postgres", labels=["state"]),
            GaugeMetricFamily("junis_database_connections_max", "How many connections may be opened"),
        )

    def collect(self) -> Iterator[Metric]:
        """The connections that are in use and idle, and how many there may be."""
        pools = [cast("QueuePool", engine.pool) for engine in tuple(self._engines)]
        connections, most = self.describe()
        connections.add_metric(["in_use"], sum(pool.checkedout() for pool in pools))
        connections.add_metric(["idle"], sum(pool.checkedin() for pool in pools))
        most.add_metric([], sum(pool.size() for pool in pools))
        yield from (connections, most)


POOLS: Final = _Pools()
REGISTRY.register(POOLS)


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
        drivers.add(driver)
        try:
            if not address.is_pooled:
                await driver.execute(session_limits_sql(statement_seconds))
        except BaseException:  # raised again; nobody else has this connection to close it
            driver.terminate()
            raise
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
