"""`junis migrate` as processes of their own, and what they leave behind."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg

from devstack.programs import Program
from tests import programs
from tests.waiting import until

WAITING_FOR_TURN = "Waiting for another `junis migrate`"

# All that a migration makes, and whether it is finished.
_SCHEMA = """
SELECT 'column', table_name || '.' || column_name, data_type || is_nullable || coalesce(column_default, '')
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) || convalidated
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid) || indisvalid
FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'rows', 'attempts', count(*)::text FROM attempts
UNION ALL
SELECT 'version', version_num, '' FROM alembic_version
ORDER BY 1, 2, 3
"""


def migrator(url: str, log: Path) -> Program:
    """`junis migrate` of the database at the URL, not started yet."""
    return programs.migration({"DATABASE_URL": url}, log)


def has_printed(program: Program, text: str) -> bool:
    """Whether the program has printed the text."""
    return program.log.exists() and text in program.log.read_text()


async def status_of(program: Program) -> int:
    """The exit status of a program that ends by itself."""
    running = program.running
    await until(lambda: asyncio.to_thread(lambda: running.poll() is not None))
    assert running.returncode is not None
    return running.returncode


async def schema_of(url: str) -> list[tuple[Any, ...]]:
    """Everything in the schema of a migrated database."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(_SCHEMA)]
    finally:
        await connection.close()
