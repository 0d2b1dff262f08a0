"""The driver's connections to Postgres: how they are opened, and how their transactions begin and end.

No wait on such a connection is without a limit. See docs/adr/0011-no-wait-without-a-limit.md.
"""

import asyncio
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import asyncpg

from app.core import keepalive
from app.core.addresses import POSTGRES_PORT, address_of
from app.core.database_url import DatabaseAddress
from app.core.postgres_errors import PostgresUnreachableError

logger = logging.getLogger(__name__)

# What is read of a connection's rows is typed where they are read.
Driver: TypeAlias = "asyncpg.Connection[Any]"

# How long a transaction waits for a lock, and how long Postgres lets it stay open between two statements.
LOCK_SECONDS = 2.0
IDLE_SECONDS = 5.0
# How long one statement may take. Reports ask for more.
STATEMENT_SECONDS = 10.0
CONNECT_SECONDS = 5.0
# The least for each of several hosts.
_SHORTEST_CONNECT_SECONDS = 2.0
# The driver waits a little longer than Postgres does, so that only a Postgres that does not respond meets its limit.
_MARGIN_SECONDS = 2.0
_ROLLBACK_SECONDS = 1.0

# For the server's side. Statements, because poolers refuse start-up options; over a Unix socket they do nothing.
_KEEPALIVE_SQL = (
    f"SET tcp_keepalives_idle = {keepalive.IDLE_SECONDS}; SET tcp_keepalives_interval = {keepalive.INTERVAL_SECONDS};"
    f" SET tcp_keepalives_count = {keepalive.COUNT}; SET tcp_user_timeout = {keepalive.USER_TIMEOUT_MS}"
)


class LostTransactionError(Exception):
    """A block has gone on after a statement of its transaction had failed, so nothing was stored: a defect."""


def driver_seconds(statement_seconds: float) -> float:
    """How long the driver waits for the response to a statement that may take so many seconds."""
    return statement_seconds + _MARGIN_SECONDS


def begin_sql(statement_seconds: float) -> str:
    """What begins a transaction with its limits, in one round trip. It works through any pooler, told of or not."""
    return f"BEGIN; {_limits_sql('SET LOCAL', statement_seconds)}"


def session_limits_sql(statement_seconds: float) -> str:
    """What sets the limits of the single statements of a connection, which no BEGIN precedes.

    Not settings of the role: it works with any role.
    """
    return _limits_sql("SET", statement_seconds)


def _limits_sql(command: str, statement_seconds: float) -> str:
    return (
        f"{command} lock_timeout = {_ms(LOCK_SECONDS)};"
        f" {command} idle_in_transaction_session_timeout = {_ms(IDLE_SECONDS)};"
        f" {command} statement_timeout = {_ms(statement_seconds)}"
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def statement_options(address: DatabaseAddress) -> dict[str, Any]:
    """What SQLAlchemy's dialect is told about prepared statements."""
    return {"prepared_statement_cache_size": 0} if address.is_pooled else {}


async def open_connection(
    address: DatabaseAddress,
    *,
    application_name: str,
    session: Mapping[str, str] = MappingProxyType({}),
    **options: Any,
) -> Driver:
    """Open a connection that notices on both sides if the other one is gone. Of several hosts, the first that will do.

    Args:
        address: where Postgres is.
        application_name: what Postgres calls the connection, unless the URL says so.
        session: what else it is told when the session begins.
        options: `asyncpg.connect`'s.

    Raises:
        PostgresUnreachableError: nobody responds there, not in time, or no host takes writes.
        asyncpg.PostgresError: Postgres refuses the connection.
    """
    told = {"application_name": application_name, **session, **address.session}
    if address.is_pooled:
        # The next transaction may run in another session, which knows no statement of this one.
        options |= {"statement_cache_size": 0}
    failures: list[PostgresUnreachableError | asyncpg.CannotConnectNowError] = []
    for url in address.urls:
        try:
            return await _open_in_time(url, address, server_settings=told, **options)
        except (PostgresUnreachableError, asyncpg.CannotConnectNowError) as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    raise PostgresUnreachableError("; ".join(str(failure) for failure in failures)) from failures[-1]


async def _open_in_time(url: str, address: DatabaseAddress, **options: Any) -> Driver:
    where = address_of(url, POSTGRES_PORT)
    seconds = address.connect_seconds or max(_SHORTEST_CONNECT_SECONDS, CONNECT_SECONDS / len(address.urls))
    try:
        async with asyncio.timeout(seconds):
            return await _connect(url, is_pooled=address.is_pooled, target_session_attrs=address.target, **options)
    except TimeoutError as error:
        raise PostgresUnreachableError(f"{where}: no response within {seconds:g} s") from error
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise PostgresUnreachableError(f"{where}: it takes no writes") from error
    except OSError as error:
        # For a name with several addresses this is a plain OSError, whatever each of them has said.
        raise PostgresUnreachableError(f"{where}: {error}") from error


async def _connect(url: str, *, is_pooled: bool, **options: Any) -> Driver:
    driver: Driver = await asyncpg.connect(url, **options)
    try:
        transport = driver._transport  # type: ignore[attr-defined]  # noqa: SLF001 - the driver shows it nowhere else
        keepalive.keep_alive(transport.get_extra_info("socket"))
        if not is_pooled:
            await driver.execute(_KEEPALIVE_SQL)
    except BaseException:  # raised again
        driver.terminate()
        raise
    return driver


async def commit(driver: Driver) -> None:
    """Commit the transaction. If it is not known whether that has happened, the connection is closed.

    Raises:
        LostTransactionError: Postgres has rolled it back, because one of its statements had failed.
    """
    try:
        done = await driver.execute("COMMIT")
    except asyncpg.PostgresError:
        raise  # Postgres has said what is wrong. It has rolled back, or it closes the connection
    except BaseException:  # raised again
        driver.terminate()
        raise
    if done != "COMMIT":
        raise LostTransactionError(f"COMMIT ended as {done}")


async def roll_back(driver: Driver, error: BaseException) -> None:
    """Roll the transaction back after an error. A connection on which that fails is closed, which does the same."""
    if driver.is_closed():
        return
    if isinstance(error, (TimeoutError, asyncpg.InternalClientError)):
        # Postgres does not respond on it. The caller has waited long enough.
        driver.terminate()
        return
    try:
        # If the block was cancelled, this also waits until its statement has ended.
        await driver.execute("ROLLBACK", timeout=_ROLLBACK_SECONDS)
    except Exception:  # the first error is the one to raise
        logger.warning("rollback_failed", exc_info=True)
        driver.terminate()
    except BaseException:  # cancelled once more
        driver.terminate()
        raise
