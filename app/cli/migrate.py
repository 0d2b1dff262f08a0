import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer
from alembic import command
from alembic.config import Config

from app.cli.printing import tell
from app.cli.reporting import CommandFailedError
from app.cli.server_role import read_server_password, set_up_server_role
from app.cli.transaction import in_transaction
from app.core.early_stop import INTERRUPTED_STATUS
from app.core.paths import ALEMBIC_INI
from app.core.schema import SchemaState, read_schema_state


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 unless the schema is up to date.")
    ] = False,
) -> None:
    """Bring the database schema up to date. It may be run at any time, and several times at once."""
    state = in_transaction(read_schema_state)
    if state is SchemaState.AHEAD:
        tell("The database schema is of a newer version of Junis; this version works with it, too")
        return
    if check and state is not SchemaState.CURRENT:
        raise CommandFailedError("The database schema is missing or behind: run `junis migrate`")
    if not check:
        _upgrade()
    tell("The database schema is up to date")


def _upgrade() -> None:
    """Run the migrations that are missing, and set up the server's role if it has a password."""
    password = read_server_password()
    # From here on it ends in order: the revision under way is undone at once, and not when Postgres notices.
    signal.signal(signal.SIGTERM, _interrupt)
    with _shown_steps():
        command.upgrade(Config(ALEMBIC_INI, stdout=sys.stderr), "head")
    if password and (note := in_transaction(set_up_server_role, password)):
        tell(note)


def _interrupt(number: int, frame: FrameType | None) -> None:
    tell("Interrupted: the schema is not up to date. Run `junis migrate` again")
    raise SystemExit(INTERRUPTED_STATUS)


@contextmanager
def _shown_steps() -> Iterator[None]:
    """Print the line that Alembic logs for each revision that it applies, and what the migrations wait for."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.getMessage().startswith(("Running ", "Waiting ")))
    logs = [logging.getLogger(name) for name in ("alembic.runtime.migration", "migrations")]
    for log in logs:
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        for log in logs:
            log.setLevel(logging.NOTSET)
            log.removeHandler(handler)
