"""Whether a command reports to a person, or to a log as the programs of a container do."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dotenv import dotenv_values

logger = logging.getLogger(__name__)

# What runs as a service. The other commands answer whoever has called them.
_PROGRAMS = frozenset({"serve", "worker"})
_SERVICES = _PROGRAMS | {"migrate"}
# What the database logs, and what the failure of a command says as well.
_REPORTED = frozenset({"database_refused", "database_full", "database_away"})


def is_logged(arguments: Sequence[str]) -> bool:
    """Whether this command's errors and progress are lines of JSON.

    LOG_FORMAT decides; if it is `auto`, they are text on a terminal. It is read here and not from the settings, because
    these may be what is wrong.
    """
    if not arguments or arguments[0] not in _SERVICES:
        return False
    wanted = (os.environ.get("LOG_FORMAT") or dotenv_values(".env").get("LOG_FORMAT") or "").strip()
    return wanted == "json" or (wanted != "text" and not sys.stderr.isatty())


@contextmanager
def reported_once(arguments: Sequence[str]) -> Iterator[None]:
    """Keep out of the log that Postgres cannot be used, which a command that fails for it reports itself.

    Programs that go on meanwhile log it.
    """
    if arguments and arguments[0] in _PROGRAMS:
        yield
        return
    database = logging.getLogger("app.core.database_faults")
    database.addFilter(_is_not_reported)
    try:
        yield
    finally:
        database.removeFilter(_is_not_reported)


def _is_not_reported(record: logging.LogRecord) -> bool:
    return record.getMessage() not in _REPORTED


@contextmanager
def logged_crash() -> Iterator[None]:
    """Log an error that nothing handles, with its traceback, and exit. Typer replaces the interpreter's own hook.

    Raises:
        SystemExit: 1 for such an error.
    """
    try:
        yield
    except Exception:  # whatever it is, it is the last thing that this process says
        logger.critical("crashed", exc_info=True)
        sys.exit(1)
