import asyncio
from collections.abc import Mapping
from typing import Annotated

import typer

from app.audit.actor import COMMAND_LINE
from app.cli.origin import note_origin
from app.cli.printing import one_line, tell
from app.cli.reporting import CommandFailedError
from app.cli.transaction import in_report, in_transaction
from app.core.database import Database
from app.core.settings import Settings, load_settings
from app.retention import service
from app.retention.models import Kind
from app.retention.policy import RetentionPolicy

_WORDS = {
    Kind.IDEMPOTENCY_KEYS: "idempotency keys that have expired",
    Kind.SESSIONS: "sessions, with their messages",
    Kind.METERING: "ended holds, with their metering events",
    Kind.INPUT_FILES: "files of generations that do not need them any more",
    Kind.WEBHOOKS: "events of webhooks, with their deliveries",
}


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print how much is old enough to go.")] = False,
) -> None:
    """Delete what is older than the settings RETAIN_… keep it, as workers do every hour.

    Nothing of the ledger goes, and nothing that was generated. Holds and events go only once the charges that they led
    to are sealed, which is done first. A charge that does not follow from its events is printed, and the command exits
    with 1; all that is proven has gone then.
    """
    settings = load_settings()
    policy = RetentionPolicy.of(settings)
    if dry_run:
        for kind, count in in_report(service.count_prunable, policy).items():
            typer.echo(f"{count} {_WORDS[kind]}")
        return
    for kind, removed in asyncio.run(_prune(settings, policy)).items():
        tell(f"Removed: {removed} {_WORDS[kind]}")
    if policy.metering is None:
        return
    faults = in_transaction(service.find_faults)
    for organization_id, fault in faults.items():
        typer.echo(one_line(f"{organization_id}: not sealed: {fault}"))
    if faults:
        raise CommandFailedError(f"The ledgers of {len(faults)} organizations cannot be sealed")


async def _prune(settings: Settings, policy: RetentionPolicy) -> Mapping[Kind, int]:
    note_origin()
    database = Database.open(settings, pool_size=1)
    removed: dict[Kind, int] = {}
    try:
        for kind in filter(policy.prunes, Kind):
            pruned = await service.prune(database, policy, kind, COMMAND_LINE, now=True)
            if pruned is None:
                tell(f"A worker is removing {_WORDS[kind]} at this moment")
            while pruned is not None:
                removed[kind] = removed.get(kind, 0) + pruned.removed
                if pruned.is_done:
                    break
                pruned = await service.prune(database, policy, kind, COMMAND_LINE, now=True)
    finally:
        await database.close()
    return removed
