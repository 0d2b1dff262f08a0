from app.cli.printing import tell
from app.cli.transaction import in_report
from app.list_counts.repository import correct


def count_lists() -> None:
    """Count the rows of all lists again, and correct the totals that differ.

    It can run at any time, and does not keep the server from working. No total should ever differ: `junis
    verify-ledger` says whether one does.
    """
    tell(f"Counted; totals that were wrong: {in_report(correct)}")
