"""Many rows for a database with the schema of the version before."""

from pathlib import Path

import asyncpg

OLDER_SCHEMA = "0012"
_SQL = Path(__file__).with_name("rows.sql")
_LARGE_TABLES = ("generations", "outputs", "credit_holds", "ledger_entries", "messages", "idempotency_keys")


async def fill(url: str, generations: int) -> dict[str, int]:
    """Fill a database that has one organization with this many generations, and with what goes with them.

    Returns:
        How many rows each large table has.
    """
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_SQL.read_text().replace("{rows}", str(generations)))
        return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in _LARGE_TABLES}
    finally:
        await connection.close()
