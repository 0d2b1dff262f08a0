"""Which errors mean that Postgres is away, busy or refuses us, so that the same may succeed a little later."""

from types import MappingProxyType

import asyncpg
from sqlalchemy import exc


class PostgresUnreachableError(ConnectionError):
    """No connection could be opened. The text says to which address, and why."""


_REFUSED = (
    # The user or the password is wrong, or pg_hba.conf has no entry for them.
    asyncpg.InvalidAuthorizationSpecificationError,
    # There is no such database.
    asyncpg.InvalidCatalogNameError,
    # The role may not connect, or may not use a table.
    asyncpg.InsufficientPrivilegeError,
)
_AWAY = (
    # Two transactions have waited for each other, or have changed what the other one has read.
    asyncpg.TransactionRollbackError,
    # A limit of the transaction: for a lock, for a statement, between two statements, for all of it.
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.PostgresConnectionError,
    # Postgres is starting or stopping, or its main process is gone.
    asyncpg.OperatorInterventionError,
    # Too many connections; no memory, or no disk.
    asyncpg.InsufficientResourcesError,
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
    *_REFUSED,
)
# A migration has changed the type of a column that a prepared statement returns.
_OUTDATED = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)

# What an operator can do something about. SQLAlchemy's texts would show the statement.
_BY_SQLSTATE = MappingProxyType(
    {
        "28000": "Postgres refuses the user of DATABASE_URL",
        "28P01": "Postgres refuses the user or the password of DATABASE_URL",
        "3D000": "The database that DATABASE_URL names does not exist",
        "53300": "Postgres has no free connection: see max_connections and DATABASE_POOL_SIZE",
    }
)


def is_away(error: Exception) -> bool:
    """Whether the error is Postgres's or the network's, and may be gone a little later."""
    return isinstance(error, _AWAY) or isinstance(_wrapped(error), _AWAY)


def is_refused(error: BaseException) -> bool:
    """Whether Postgres refuses the operator's user, password or database, or lacks a permission for them."""
    return isinstance(error, _REFUSED) or isinstance(_wrapped(error), _REFUSED)


def is_told_by_postgres(error: BaseException) -> bool:
    """Whether `explain` has a text of its own for the error, which says that it is Postgres's."""
    return sqlstate(error) in _BY_SQLSTATE or is_refused(error)


def is_outdated(error: Exception) -> bool:
    """Whether a statement was prepared before the schema changed. It works once it is prepared again."""
    return isinstance(error, _OUTDATED) or isinstance(_wrapped(error), _OUTDATED)


def explain(error: BaseException) -> str:
    """One line that says what is wrong, for an operator."""
    raised = _wrapped(error) or error
    state = sqlstate(error)
    if known := _BY_SQLSTATE.get(state):
        return known
    text = str(raised).partition("\n")[0]
    if is_refused(error):
        return f"Postgres refuses the user of DATABASE_URL: {text}"
    if isinstance(raised, PostgresUnreachableError):
        return text
    if isinstance(raised, TimeoutError):
        return text or "Postgres did not respond in time"
    return f"{type(raised).__name__}: {text}"


def sqlstate(error: BaseException | None) -> str:
    """Postgres's code of the error; empty if it is not one of Postgres's."""
    # SQLAlchemy wraps the driver's error. Statements on the driver's own connection raise it directly.
    raised = error.orig if isinstance(error, exc.DBAPIError) else error
    return str(getattr(raised, "sqlstate", None) or "")


def _wrapped(error: BaseException) -> BaseException | None:
    # SQLAlchemy wraps the driver's errors, and has no class of its own for some of them.
    return error.orig.__cause__ if isinstance(error, exc.DBAPIError) and error.orig else None
