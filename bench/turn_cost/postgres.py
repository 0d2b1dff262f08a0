"""What Postgres has counted so far, of all databases."""

import asyncio
from dataclasses import dataclass

import asyncpg

from bench.statements import IS_UTILITY

# What the bench itself asks is left out.
_READ = f"""
SELECT coalesce(sum(calls) FILTER (WHERE NOT {IS_UTILITY}), 0)::float8 AS statements,
       coalesce(sum(calls) FILTER (WHERE query ILIKE 'COMMIT%'), 0)::float8 AS transactions,
       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS wal
FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'
"""  # noqa: S608 - a constant of ours


@dataclass(frozen=True)
class Counters:
    """Statements that are not BEGIN and the like, commits, and bytes of WAL."""

    statements: float
    transactions: float
    wal: float


def counters(url: str) -> Counters:
    """Read what was counted so far, as the superuser of this URL."""
    return asyncio.run(_read(url))


async def _read(url: str) -> Counters:
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(_READ)
    finally:
        await connection.close()
    assert row is not None  # noqa: S101 - the statement is an aggregate
    return Counters(row["statements"], row["transactions"], row["wal"])
