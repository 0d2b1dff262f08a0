"""Settings for an installation apart from the run's, so that no other test is affected by it."""

import secrets
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from app.core.database import Database
from app.core.settings import Settings
from tests import factories, programs


async def new_site(environment: dict[str, str], folder: Path, *, redis_number: int) -> dict[str, str]:
    """Settings like the run's, but with their own database, Redis key space and object store.

    Args:
        environment: the run's settings.
        folder: the folder of the object store.
        redis_number: the number of the Redis key space; each site of a run needs a different one.
    """
    site = environment | {
        "DATABASE_URL": await create_database(environment["DATABASE_URL"]),
        "REDIS_URL": urlsplit(environment["REDIS_URL"])._replace(path=f"/{redis_number}").geturl(),
        "LOCAL_STORAGE_DIR": str(folder / f"objects-{redis_number}"),
    }
    await furnish(site, folder)
    return site


async def furnish(site: dict[str, str], folder: Path) -> None:
    """Give the site's empty database its schema, the tests' plan and their prices."""
    programs.migrate(site, folder)
    database = Database.open(settings_of(site))
    await factories.import_catalog(database)
    await factories.set_roomy_plan(database)
    await database.close()


def settings_of(site: dict[str, str]) -> Settings:
    """The site's settings as its processes read them."""
    return Settings.model_validate({name.lower(): value for name, value in site.items()})


async def create_database(url: str) -> str:
    """The URL of a new, empty database on the same server."""
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return urlsplit(url)._replace(path=f"/{name}").geturl()
