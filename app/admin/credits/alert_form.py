from decimal import Decimal
from typing import Final

from fastapi import Request
from starlette.responses import Response

from app.admin.access import Viewer
from app.admin.errors import PageNotFoundError
from app.admin.forms import Form, read_form
from app.admin.rendering import render
from app.core.database import Transaction
from app.credits import alerts
from app.credits.alerts import Alert

_LEAST: Final = Decimal("0.000001")
_MOST: Final = Decimal(99999999999)


async def add(request: Request, viewer: Viewer, tx: Transaction) -> Form:
    """Add the alert that a manager has typed. The form has errors if it was refused."""
    form = await read_form(request)
    threshold = form.decimal("threshold", least=_LEAST, most=_MOST)
    if threshold is not None:
        with form.refusing("threshold"):
            await alerts.add_alert(tx, viewer.organization_id, threshold, actor=viewer.actor)
    return form


async def ask_to_remove(
    request: Request,
    viewer: Viewer,
    tx: Transaction,
    threshold: str,
    *,
    sends_mail: bool,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    """The page that says what removing an alert means, and asks for its amount."""
    alert = await _find(tx, viewer, threshold)
    return render(
        request,
        "credits/remove-alert.html",
        viewer,
        title="Remove an alert?",
        here="usage",
        status=status,
        alert=alert,
        others=len(await alerts.list_alerts(tx, viewer.organization_id)) - 1,
        sends_mail=sends_mail,
        form=form or Form(),
    )


async def remove(request: Request, viewer: Viewer, tx: Transaction, threshold: str) -> Form:
    """Remove an alert whose amount a manager has typed. The form has errors if it was another amount."""
    form = await read_form(request)
    alert = await _find(tx, viewer, threshold)
    typed = form.decimal("confirm", least=_LEAST, most=_MOST)
    if typed is not None and typed != alert.threshold:
        form.error("confirm", "That is not its amount. Nothing was removed.")
    if not form.errors:
        await alerts.remove_alert(tx, viewer.organization_id, alert.id, actor=viewer.actor)
    return form


async def _find(tx: Transaction, viewer: Viewer, threshold: str) -> Alert:
    """The alert with an amount, as addresses spell it: ids count the alerts of everybody."""
    for alert in await alerts.list_alerts(tx, viewer.organization_id):
        if f"{alert.threshold.normalize():f}" == threshold:
            return alert
    raise PageNotFoundError
