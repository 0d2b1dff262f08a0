from decimal import Decimal

from fastapi import Request

from app.admin.access import Viewer
from app.admin.forms import Form, read_form
from app.core.database import Transaction
from app.credits import alerts

_LEAST = Decimal("0.000001")
_MOST = Decimal(99999999999)


async def add(request: Request, viewer: Viewer, tx: Transaction) -> Form:
    """Add the alert that a manager has typed. The form has errors if it was refused."""
    form = await read_form(request)
    threshold = form.decimal("threshold", least=_LEAST, most=_MOST)
    if threshold is not None:
        with form.refusing("threshold"):
            await alerts.add_alert(tx, viewer.organization_id, threshold, actor=viewer.actor)
    return form
