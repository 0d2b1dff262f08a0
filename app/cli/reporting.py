"""Reports expected failures as one line on standard error and an exit status."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import NoReturn

import asyncpg
import typer
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from app.core.errors import AppError, ServiceUnavailableError
from app.core.settings import InvalidSettingsError

_REFUSED, _NOT_UNDERSTOOD = 1, 2

_SCHEMA_BEHIND = "The database schema is missing or behind: run `junis migrate`"
_BY_SQLSTATE = MappingProxyType(
    {
        "23505": "Created by another process at the same time: try again",
        "28000": "Postgres refuses the user of DATABASE_URL",
        "28P01": "Postgres refuses the user or the password of DATABASE_URL",
        "3D000": "The database that DATABASE_URL names does not exist",
        "42501": "The role of DATABASE_URL lacks a privilege: run `junis migrate` as the owner of the tables",
        "42P01": _SCHEMA_BEHIND,
        "42703": _SCHEMA_BEHIND,
        "57014": "Postgres took too long for a statement: try again when it is less busy",
        "55P03": "Another process is using the same rows or tables: try again when it has finished",
    }
)


class CommandFailedError(Exception):
    """A command has failed. Its text is shown to the operator as it is."""


@contextmanager
def reported_errors() -> Iterator[None]:
    """Print an expected failure as `error: …` and exit. Any other is a defect and keeps its traceback.

    Raises:
        SystemExit: 1 for a refusal, 2 for settings with which the program cannot start.
    """
    try:
        yield
    except InvalidSettingsError as error:
        _exit(_NOT_UNDERSTOOD, *str(error).splitlines())
    except ServiceUnavailableError as error:
        _exit(_REFUSED, _BY_SQLSTATE.get(_sqlstate(error.__cause__)) or f"Postgres cannot be reached: {_reason(error)}")
    except AppError as error:
        _exit(_REFUSED, error.text)
    except (CommandFailedError, CommandError) as error:
        _exit(_REFUSED, str(error))
    except (asyncpg.PostgresError, DBAPIError) as error:
        if (text := _BY_SQLSTATE.get(_sqlstate(error))) is None:
            raise
        _exit(_REFUSED, text)


def _exit(status: int, *lines: str) -> NoReturn:
    for line in lines:
        typer.echo(f"error: {line}", err=True)
    sys.exit(status)


def _reason(error: ServiceUnavailableError) -> str:
    cause = error.__cause__
    # Some errors, such as TimeoutError, have no text.
    return str(cause).partition("\n")[0] or type(cause).__name__


def _sqlstate(error: BaseException | None) -> str:
    # SQLAlchemy wraps the driver's error. Statements on the driver's own connection raise it directly.
    raised = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(raised, "sqlstate", ""))
