import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from alembic import command
from alembic.config import Config
from alembic.util import DatabaseNotAtHead

from app.cli.printing import tell
from app.cli.reporting import CommandFailedError
from app.cli.transaction import in_transaction
from app.core.database import Transaction
from app.core.paths import ALEMBIC_INI


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 unless the schema is up to date.")
    ] = False,
) -> None:
    """Bring the database schema up to date. It may be run at any time, and several times at once."""
    in_transaction(_reach)
    config = Config(ALEMBIC_INI, stdout=sys.stderr)
    if check:
        _require_head(config)
    else:
        with _shown_steps():
            command.upgrade(config, "head")
    tell("The database schema is up to date")


async def _reach(tx: Transaction) -> None:
    """Do nothing with the connection: if there is none, Alembic would not report the reason in one line."""


def _require_head(config: Config) -> None:
    try:
        command.current(config, check_heads=True)
    except DatabaseNotAtHead as error:
        raise CommandFailedError("The database schema is behind, or of another version: run `junis migrate`") from error


@contextmanager
def _shown_steps() -> Iterator[None]:
    """Print the line that Alembic logs for each revision that it applies, and nothing else of its log."""
    log = logging.getLogger("alembic.runtime.migration")
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.getMessage().startswith("Running "))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(logging.NOTSET)
        log.removeHandler(handler)
