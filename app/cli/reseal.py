import asyncio
from collections.abc import Sequence

import typer

from app.cli.origin import note_origin
from app.cli.printing import one_line, tell
from app.cli.reporting import CommandFailedError
from app.core.database import Database
from app.core.secret_keys import SecretKeys
from app.core.settings import load_settings
from app.resealing import service
from app.resealing.columns import SEALED_COLUMNS


def reseal() -> None:
    """Seal stored values again that were not sealed with SECRET_KEY.

    Afterwards SECRET_KEY_ACCEPTED can be dropped. It can run at any time, and be run again. The exit status is 1 if a
    value can be opened with no key.
    """
    results = asyncio.run(_reseal())
    for result in results:
        for row_id in result.unreadable:
            typer.echo(f"{result.column} of {one_line(row_id)} can be opened with no key of the settings")
    tell(f"Sealed again: {sum(result.resealed for result in results)}")
    if any(result.unreadable for result in results):
        raise CommandFailedError("Set SECRET_KEY_ACCEPTED to the key that was used before, and run this again")


async def _reseal() -> Sequence[service.Resealed]:
    note_origin()
    settings = load_settings()
    keys = SecretKeys.of(settings)
    if not keys.is_lasting:
        raise CommandFailedError("SECRET_KEY is not set: set the one that the API has")
    database = Database.open(settings, pool_size=1)
    try:
        return await service.reseal(database, keys, SEALED_COLUMNS)
    finally:
        await database.close()
