"""Whether a command reports to a person, or to a log as the programs of a container do."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dotenv import dotenv_values

logger = logging.getLogger(__name__)

# What runs as a service. The other commands answer whoever has called them.
_SERVICES = frozenset({"serve", "worker", "migrate"})


def is_logged(arguments: Sequence[str]) -> bool:
    """Whether this command's errors and progress are lines of JSON.

    LOG_FORMAT decides; if it is `auto`, they are text on a terminal. It is read here and not from the settings, because
    these may be what is wrong.
    """
    if not arguments or arguments[0] not in _SERVICES:
        return False
    wanted = os.environ.get("LOG_FORMAT") or dotenv_values(".env").get("LOG_FORMAT")
    return wanted == "json" or (wanted != "text" and not sys.stderr.isatty())


@contextmanager
def logged_crash() -> Iterator[None]:
    """Log an error that nothing handles, with its traceback, and exit. Typer replaces the interpreter's own hook.

    Raises:
        SystemExit: 1 for such an error.
    """
    try:
        yield
    except Exception:
        logger.critical("crashed", exc_info=True)
        sys.exit(1)
