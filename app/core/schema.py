"""Whether the database has the schema that this code was written for."""

import re
from enum import Enum, auto
from functools import cache

from app.core.database import Transaction
from app.core.paths import MIGRATIONS

_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)


class SchemaState(Enum):
    """The schema of a database, as this code sees it."""

    MISSING = auto()
    BEHIND = auto()
    CURRENT = auto()
    # Made by a newer version. Migrations only expand the schema, so this code works with it, too.
    AHEAD = auto()


async def read_schema_state(tx: Transaction) -> SchemaState:
    """The state of the schema in the database that the transaction is on."""
    if await tx.fetchval("SELECT to_regclass('alembic_version')") is None:
        return SchemaState.MISSING
    current = await tx.fetchval("SELECT version_num FROM alembic_version")
    if current is None:
        return SchemaState.MISSING
    if current == _revisions()[0]:
        return SchemaState.CURRENT
    return SchemaState.BEHIND if current in _revisions() else SchemaState.AHEAD


async def read_revisions(tx: Transaction) -> tuple[str, str]:
    """The revision of the database's schema, and the one that this code was written for."""
    return str(await tx.fetchval("SELECT version_num FROM alembic_version")), _revisions()[0]


@cache
def _revisions() -> tuple[str, ...]:
    """Every revision that this code knows, newest first.

    The files are read without Alembic: loading it takes a quarter of a second, in which a server would answer nobody.
    Their names begin with the moment at which they were written, and each follows the one before.
    """
    files = sorted(MIGRATIONS.glob("*.py"), reverse=True)
    return tuple(match[1] for file in files if (match := _REVISION.search(file.read_text(encoding="utf-8"))))
