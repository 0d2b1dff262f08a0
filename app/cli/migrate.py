import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from app.cli.reporting import CommandFailedError
from app.cli.server_role import read_server_role, set_up_server_role
from app.cli.transaction import in_owners_transaction
from app.core.early_stop import INTERRUPTED_STATUS
from app.core.logging import JsonFormatter
from app.core.paths import ALEMBIC_INI
from app.core.schema import SchemaState, read_schema_state

logger = logging.getLogger(__name__)


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 unless the schema is up to date.")
    ] = False,
) -> None:
    """Bring the database schema up to date. It may be run at any time, and several times at once."""
    with _shown_steps():
        _migrate(check=check)


def _migrate(*, check: bool) -> None:
    state = in_owners_transaction(read_schema_state)
    if state is SchemaState.AHEAD:
        logger.info("The database schema is of a newer version of Junis; this version works with it, too")
        return
    if check and state is not SchemaState.CURRENT:
        raise CommandFailedError("The database schema is missing or behind: run `junis migrate`")
    if not check:
        _upgrade()
    logger.info("The database schema is up to date")


def _upgrade() -> None:
    """Run the migrations that are missing, and set up the server's role if it has a password."""
    # It tells of its own parts while it is loaded.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    from alembic import command  # noqa: PLC0415 - Alembic takes 10 MB, which a server would keep
    from alembic.config import Config  # noqa: PLC0415 - see above
    from alembic.util import CommandError  # noqa: PLC0415 - see above

    user, password = read_server_role()
    # From here on it ends in order: the revision under way is undone at once, and not when Postgres notices.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        command.upgrade(Config(ALEMBIC_INI, stdout=sys.stderr), "head")
    except CommandError as error:
        raise CommandFailedError(str(error)) from error
    if password and (note := in_owners_transaction(set_up_server_role, user, password)):
        logger.info(note)


def _interrupt(number: int, frame: FrameType | None) -> None:
    logger.error("Interrupted: the schema is not up to date. Run `junis migrate` again")
    raise SystemExit(INTERRUPTED_STATUS)


@contextmanager
def _shown_steps() -> Iterator[None]:
    """Show what this command logs, and of Alembic's log the line for each revision that it applies or waits for.

    If the command's log is lines of JSON, they are among them. On a terminal they are printed.
    """
    steps = [logging.getLogger(name) for name in ("alembic.runtime.migration", "migrations")]
    is_logged = any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)
    handler = logging.NullHandler() if is_logged else logging.StreamHandler()
    handler.addFilter(_is_step)
    for log in steps:
        log.addFilter(_is_step)
    for log in (*steps, logger):
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        for log in (*steps, logger):
            log.setLevel(logging.NOTSET)
            log.removeHandler(handler)
            log.removeFilter(_is_step)


def _is_step(record: logging.LogRecord) -> bool:
    is_ours = record.name == logger.name or record.levelno > logging.INFO
    return is_ours or record.getMessage().startswith(("Running ", "Waiting "))
