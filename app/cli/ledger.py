import typer

from app.cli.printing import one_line, tell
from app.cli.reporting import CommandFailedError
from app.cli.transaction import in_report
from app.credits import verification


def verify_ledger() -> None:
    """Check that accounts, holds and ledger entries agree. Print each fault, and exit with 1 if there is any."""
    verified = in_report(verification.verify_ledger)
    for fault in verified.faults:
        typer.echo(one_line(fault))
    if verified.faults:
        raise CommandFailedError(
            f"The ledger is wrong; faults: {len(verified.faults)}, organizations: {verified.organizations}"
        )
    tell(f"The ledger is right; organizations: {verified.organizations}")
