import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from app.backups.listed_objects import Walked, copy_objects, verify_objects
from app.cli.printing import one_line, tell
from app.cli.reporting import CommandFailedError
from app.core.database import Database
from app.core.outgoing import Outgoing
from app.core.settings import load_settings
from app.storage.local import open_local_store
from app.storage.open import open_store
from app.storage.protocol import ObjectStore

app = typer.Typer(help="The files of generated content, in the object store.", no_args_is_help=True)

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", file_okay=False, help="Where the copies are, each at its own path.")
]

_MANY: Final = 10_000


@app.command("verify")
def verify() -> None:
    """Read every file that the database lists, and compare its size and SHA-256.

    Print each one that is missing or other, and exit with 1 if there is any.
    """
    _conclude("Read", asyncio.run(_with_store(lambda database, store: verify_objects(database, store, _tell_progress))))


@app.command("export")
def export(folder: Folder) -> None:
    """Copy every file that the database lists into a folder. What is there already is compared, and left.

    It can run at any time and be repeated: it copies what has come since. Nothing in the folder is deleted.
    """

    def copy(database: Database, store: ObjectStore) -> Awaitable[Walked]:
        return copy_objects(database, store, open_local_store(folder), _tell_progress)

    _conclude("Compared or copied", asyncio.run(_with_store(copy)))


@app.command("import")
def import_(folder: Folder) -> None:
    """Copy every file that the database lists from such a folder into the object store.

    What the store has already is compared, and left.
    """
    if not folder.is_dir():
        raise CommandFailedError(f"There is no folder {folder}")

    def copy(database: Database, store: ObjectStore) -> Awaitable[Walked]:
        return copy_objects(database, open_local_store(folder), store, _tell_progress)

    _conclude("Compared or copied", asyncio.run(_with_store(copy)))


async def _with_store(act: Callable[[Database, ObjectStore], Awaitable[Walked]]) -> Walked:
    settings = load_settings()
    database = Database.open(settings, pool_size=1)
    store = open_store(settings, Outgoing.of(settings))
    try:
        await store.probe()
        return await act(database, store)
    finally:
        await store.close()
        await database.close()


def _tell_progress(objects: int) -> None:
    if objects % _MANY == 0:
        tell(f"{objects:,} files so far")


def _conclude(done: str, walked: Walked) -> None:
    for fault in walked.faults:
        typer.echo(one_line(fault))
    summary = f"{done}: {walked.objects:,} files with {walked.size:,} bytes, of which {walked.copied:,} were copied"
    if walked.faults:
        raise CommandFailedError(f"{summary}. Missing or other: {len(walked.faults):,}")
    tell(summary)
