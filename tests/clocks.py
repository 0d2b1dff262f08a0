"""Postgres at another time: for what is decided by its clock."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from urllib.parse import urlsplit

from app.core.database import Database
from app.core.settings import Settings


class Clocks:
    """Databases whose Postgres believes that it is another time: the same rows, with `now()` replaced."""

    def __init__(self, environment: dict[str, str], database: Database) -> None:
        self._environment = environment
        self._database = database

    @asynccontextmanager
    async def at(self, moment: datetime) -> AsyncIterator[Database]:
        name = f"clock_{secrets.token_hex(6)}"
        settings = Settings.model_validate({name.lower(): value for name, value in self._environment.items()})
        url = urlsplit(settings.database_url)
        async with self._database.transaction() as tx:
            await tx.execute(f"CREATE SCHEMA {name}")
            await tx.execute(
                f"CREATE FUNCTION {name}.now() RETURNS timestamptz LANGUAGE sql STABLE AS"
                f" $$SELECT timestamptz '{moment.isoformat()}'$$"
            )
            await tx.execute(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{name}'")
            await tx.execute(f"ALTER ROLE {name} SET search_path = {name}, pg_catalog, public")
        netloc = f"{name}:{name}@{url.netloc.rpartition('@')[2]}"
        opened = Database.open(settings.model_copy(update={"database_url": url._replace(netloc=netloc).geturl()}))
        try:
            yield opened
        finally:
            await opened.close()
