from app.audit.models import AuditEvent
from app.core.database import Transaction


def add_event(tx: Transaction, event: AuditEvent) -> None:
    """Add a change to the log, in the transaction that makes it."""
    tx.session.add(event)
