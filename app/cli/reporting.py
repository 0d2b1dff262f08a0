"""Reports expected failures as one line on standard error and an exit status."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import NoReturn

import asyncpg
import typer
from sqlalchemy.exc import DBAPIError

from app.core.errors import AppError, ServiceUnavailableError
from app.core.postgres_errors import PostgresUnreachableError, explain, is_away, is_told_by_postgres, sqlstate
from app.core.settings import InvalidSettingsError

logger = logging.getLogger(__name__)

_REFUSED, _NOT_UNDERSTOOD = 1, 2

_BY_SQLSTATE = MappingProxyType(
    {
        "23505": "Created by another process at the same time: try again",
        "57014": "Postgres took too long for a statement: try again when it is less busy",
        "55P03": "Another process is using the same rows or tables: try again when it has finished",
    }
)


class CommandFailedError(Exception):
    """A command has failed. Its text is shown to the operator as it is."""


@contextmanager
def reported_errors(report: Callable[[str], None]) -> Iterator[None]:
    """Report an expected failure in a line and exit. Any other is a defect and keeps its traceback.

    Args:
        report: prints or logs a line.

    Raises:
        SystemExit: 1 for a refusal, 2 for settings with which the program cannot start.
    """
    try:
        yield
    except InvalidSettingsError as error:
        _exit(report, _NOT_UNDERSTOOD, *str(error).splitlines())
    except ServiceUnavailableError as error:
        _exit(report, _REFUSED, _reason(error.__cause__ or error))
    except AppError as error:
        _exit(report, _REFUSED, error.text)
    except CommandFailedError as error:
        _exit(report, _REFUSED, str(error))
    except (asyncpg.PostgresError, DBAPIError, PostgresUnreachableError) as error:
        # Alembic has a connection of its own, whose errors are not translated.
        if not is_away(error) and sqlstate(error) not in _BY_SQLSTATE:
            raise
        _exit(report, _REFUSED, _reason(error))


def print_failure(line: str) -> None:
    """Print a failure on standard error, for whoever has called the command."""
    typer.echo(f"error: {line}", err=True)


def log_failure(line: str) -> None:
    """Log a failure, for a command that runs as a service."""
    logger.error("command_failed", extra={"reason": line})


def _exit(report: Callable[[str], None], status: int, *lines: str) -> NoReturn:
    for line in lines:
        report(line)
    sys.exit(status)


def _reason(error: BaseException) -> str:
    if known := _BY_SQLSTATE.get(sqlstate(error)):
        return known
    return explain(error) if is_told_by_postgres(error) else f"Postgres cannot be reached: {explain(error)}"
