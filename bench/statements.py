"""A Postgres that counts what it executes."""

from app.core.database import Database
from app.resources import open_resources
from chaos.plant import Plant
from chaos.strikes import POSTGRES

_SETTING = "shared_preload_libraries = 'pg_stat_statements'"
# What begins or ends a transaction, or sets something in it.
IS_UTILITY = "query ~* '^(BEGIN|COMMIT|ROLLBACK|START|SET)'"


async def count_statements(plant: Plant) -> None:
    """Restart Postgres with the extension that counts statements."""
    async with open_resources(plant.settings) as resources, resources.database.transaction() as tx:
        # Nothing but the commands of one database session can change this setting of a server that runs.
        await tx.execute("COMMIT")
        await tx.execute(f"ALTER SYSTEM SET {_SETTING}")
        await tx.execute("BEGIN")
    plant.kill(POSTGRES)
    plant.start(POSTGRES)
    async with open_resources(plant.settings) as resources:
        await _create_extension(resources.database)


async def _create_extension(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("CREATE EXTENSION pg_stat_statements")
