"""Which errors mean that Postgres is away or busy, so that the same may succeed a little later."""

import socket
import ssl

import asyncpg
from sqlalchemy import exc

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
    # A host name cannot be resolved, or a socket does not exist.
    socket.gaierror,
    FileNotFoundError,
    # The certificate is not the one that `sslmode` requires.
    ssl.SSLError,
)
# A migration has changed the type of a column that a prepared statement returns.
_OUTDATED = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)


def is_away(error: Exception) -> bool:
    """Whether the error is Postgres's or the network's, and may be gone a little later."""
    return isinstance(error, _AWAY) or isinstance(_wrapped(error), _AWAY)


def is_outdated(error: Exception) -> bool:
    """Whether a statement was prepared before the schema changed. It works once it is prepared again."""
    return isinstance(error, _OUTDATED) or isinstance(_wrapped(error), _OUTDATED)


def _wrapped(error: Exception) -> BaseException | None:
    # SQLAlchemy wraps the driver's errors, and has no class of its own for some of them.
    return error.orig.__cause__ if isinstance(error, exc.DBAPIError) and error.orig else None
