import typer

from app.cli.output import one_line, tell
from app.cli.reporting import CommandFailedError
from app.cli.transaction import in_transaction
from app.core.database import Transaction
from app.credits.verification import find_faults
from app.organizations.service import list_organizations


def verify_ledger() -> None:
    """Print each fault of the ledger. Exit with 1 if there is any: accounts, holds and entries must agree."""
    faults, organizations = in_transaction(_verify)
    for fault in faults:
        typer.echo(one_line(fault))
    if faults:
        raise CommandFailedError(f"The ledger is wrong; faults: {len(faults)}, organizations: {organizations}")
    tell(f"The ledger is right; organizations: {organizations}")


async def _verify(tx: Transaction) -> tuple[list[str], int]:
    # First of all: it decides what the transaction sees, which Postgres takes only before any other query.
    faults = await find_faults(tx)
    return faults, len(await list_organizations(tx))
