import typer

from app.cli.printing import one_line, tell
from app.cli.reporting import CommandFailedError
from app.cli.transaction import in_report
from app.verification import service


def verify_ledger() -> None:
    """Check that accounts, holds, ledger entries and metering events agree, and compute each charge again.

    Print each fault, and exit with 1 if there is any. What is right but worth knowing is noted on standard error.
    """
    verified = in_report(service.verify_ledger)
    for fault in verified.faults:
        typer.echo(one_line(fault))
    for note in verified.notes:
        tell(f"note: {one_line(note)}")
    if verified.faults:
        raise CommandFailedError(
            f"The ledger is wrong; faults: {len(verified.faults)}, organizations: {verified.organizations}"
        )
    tell(f"The ledger is right; organizations: {verified.organizations}")
