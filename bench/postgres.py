"""The plant's Postgres: what it has executed, and its processes."""

from dataclasses import dataclass

import asyncpg

from chaos.plant import Plant
from chaos.strikes import POSTGRES

# What begins or ends a transaction, or sets something in it.
_IS_UTILITY = "query ~* '^(BEGIN|COMMIT|ROLLBACK|START|SET)'"
# Of all databases, without what the bench itself asks.
_READ = f"""
SELECT coalesce(sum(calls) FILTER (WHERE NOT {_IS_UTILITY}), 0)::float8 AS statements,
       coalesce(sum(calls) FILTER (WHERE query ILIKE 'COMMIT%'), 0)::float8 AS transactions,
       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS wal
FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'
"""  # noqa: S608 - a constant of ours


@dataclass(frozen=True)
class Counters:
    """What was counted so far.

    Attributes:
        statements: those that are neither BEGIN, COMMIT or ROLLBACK nor SET.
        transactions: the explicit ones that were committed; a statement alone is not one of them.
        wal: bytes of the write-ahead log.
    """

    statements: float
    transactions: float
    wal: float


async def count_statements(plant: Plant) -> None:
    """Restart Postgres with the extension that counts statements."""
    await _execute(plant, "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    plant.kill(POSTGRES)
    plant.start(POSTGRES)
    await _execute(plant, "CREATE EXTENSION pg_stat_statements")


async def counters(plant: Plant) -> Counters:
    """Read what was counted so far."""
    connection = await asyncpg.connect(plant.environment["DATABASE_URL"])
    try:
        row = await connection.fetchrow(_READ)
    finally:
        await connection.close()
    assert row is not None  # noqa: S101 - the statement is an aggregate
    return Counters(row["statements"], row["transactions"], row["wal"])


async def make_database(plant: Plant, name: str) -> None:
    """Make one more database."""
    await _execute(plant, f"CREATE DATABASE {name}")


def pid_of_postgres(plant: Plant) -> int:
    """Postgres's first process, whose children the others are."""
    return int(plant.servers[POSTGRES].pid_file.read_text().split(maxsplit=1)[0])


async def _execute(plant: Plant, statement: str) -> None:
    connection = await asyncpg.connect(plant.environment["DATABASE_URL"])
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
