"""Which errors mean that Postgres is away, busy or refuses us, so that the same may succeed a little later."""

import re
from types import MappingProxyType

import asyncpg
from sqlalchemy import exc


class PostgresUnreachableError(ConnectionError):
    """No connection could be opened. The text says to which address, and why."""


class ReadOnlyServerError(ConnectionError):
    """Postgres responds and takes no writes: it has become a standby, or has no room left."""


_REFUSED = (
    # The user or the password is wrong, or pg_hba.conf has no entry for them.
    asyncpg.InvalidAuthorizationSpecificationError,
    # There is no such database.
    asyncpg.InvalidCatalogNameError,
    # The role may not connect, or may not use a table.
    asyncpg.InsufficientPrivilegeError,
)
# The schema is missing, or behind this code until `junis migrate` has run.
_BEHIND = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError)
# The server takes no writes, as after a failover. The next connection may reach the one that does.
_READ_ONLY = (asyncpg.ReadOnlySQLTransactionError, ReadOnlyServerError)
_FULL = (asyncpg.DiskFullError,)
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
    *_READ_ONLY,
    # Another session uses or changes what is wanted.
    asyncpg.ObjectInUseError,
    asyncpg.SnapshotTooOldError,
    # The system under Postgres has failed: a disk, a file.
    asyncpg.PostgresSystemError,
    # Something within Postgres, or the pooler in between, has failed.
    asyncpg.InternalServerError,
    asyncpg.InterfaceError,
    # Postgres has closed the connection, and the driver has not noticed it yet.
    asyncpg.InternalClientError,
    exc.InterfaceError,
    exc.OperationalError,
    exc.TimeoutError,
    ConnectionError,
    TimeoutError,
    *_REFUSED,
    *_BEHIND,
)
# Running it again cannot help.
_LOST = (asyncpg.DataCorruptedError, asyncpg.IndexCorruptedError)
# The session does not have the statement that was prepared, or has another one under its name.
_UNPREPARED = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
# A migration has changed the type of a column that a prepared statement returns.
_OUTDATED = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError, *_UNPREPARED)

_DENIED = re.compile(r"permission denied for (\w+) (\S+)")
_GRANTS = MappingProxyType(
    {
        "table": "GRANT SELECT, INSERT, UPDATE, DELETE ON",
        "sequence": "GRANT USAGE ON SEQUENCE",
        "schema": "GRANT USAGE, CREATE ON SCHEMA",
        "database": "GRANT CONNECT, CREATE ON DATABASE",
        "function": "GRANT EXECUTE ON FUNCTION",
    }
)

_POOLER = (
    "The session has changed, as through a pooler in transaction mode: set DATABASE_POOLER=transaction and"
    " DATABASE_DIRECT_URL"
)
_SCHEMA = "The database schema is missing or behind: run `junis migrate`"
# What an operator can do something about. SQLAlchemy's texts would show the statement.
_BY_SQLSTATE = MappingProxyType(
    {
        "25006": "Postgres takes no writes: it has become a standby, or is set to read only",
        "28000": "Postgres refuses the user of DATABASE_URL",
        "28P01": "Postgres refuses the user or the password of DATABASE_URL",
        "3D000": "The database that DATABASE_URL names does not exist",
        "53100": "The disk of Postgres is full",
        "53200": "Postgres has no memory left",
        "53300": "Postgres has no free connection: see max_connections and DATABASE_POOL_SIZE",
        "26000": _POOLER,
        "42P05": _POOLER,
        "3F000": _SCHEMA,
        "42P01": _SCHEMA,
        "42703": _SCHEMA,
    }
)


def is_away(error: Exception) -> bool:
    """Whether the error is Postgres's or the network's, and may be gone a little later."""
    return _is(error, _AWAY) and not _is(error, _LOST)


def is_refused(error: BaseException) -> bool:
    """Whether Postgres refuses the operator's user, password or database, or lacks a permission for them."""
    return _is(error, _REFUSED)


def is_behind(error: BaseException) -> bool:
    """Whether the database lacks a table or a column."""
    return _is(error, _BEHIND)


def is_read_only(error: BaseException) -> bool:
    """Whether the server takes no writes, so that its connections are of no use."""
    return _is(error, _READ_ONLY)


def is_full(error: BaseException) -> bool:
    """Whether the disk of the server has no room: it goes on answering what writes nothing."""
    return _is(error, _FULL)


def is_told_by_postgres(error: BaseException) -> bool:
    """Whether `explain` has a text of its own for the error, which says that it is Postgres's."""
    return sqlstate(error) in _BY_SQLSTATE or is_refused(error)


def is_outdated(error: Exception) -> bool:
    """Whether a statement was prepared before the schema changed. It works once it is prepared again."""
    return _is(error, _OUTDATED)


def explain(error: BaseException) -> str:
    """One line that says what is wrong, for an operator."""
    raised = _wrapped(error) or error
    state = sqlstate(error)
    if known := _BY_SQLSTATE.get(state):
        return known
    text = str(raised).partition("\n")[0]
    if state == "42501":
        return f"The role of DATABASE_URL lacks a privilege: {text}. {_grant(text)}"
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


def _grant(text: str) -> str:
    denied = _DENIED.match(text)
    kind, name = denied.groups() if denied else ("", "")
    if kind not in _GRANTS:
        return "Run `junis migrate` as the owner of the tables"
    return f"As its owner, run `junis migrate`, or: {_GRANTS[kind]} {name} TO the role of DATABASE_URL"


def _is(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    return isinstance(error, kinds) or isinstance(_wrapped(error), kinds)


def _wrapped(error: BaseException) -> BaseException | None:
    # SQLAlchemy wraps the driver's errors, and has no class of its own for some of them.
    return error.orig.__cause__ if isinstance(error, exc.DBAPIError) and error.orig else None
