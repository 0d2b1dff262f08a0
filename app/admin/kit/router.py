"""The page that shows every part of the console in every state. Screenshots of the parts are taken from it."""

from datetime import timedelta
from decimal import Decimal

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admin.access import SignedIn
from app.admin.forms import Form
from app.admin.paging import Page
from app.admin.rendering import render
from app.core.clock import now

router = APIRouter()

_AMOUNTS = tuple(Decimal(text) for text in ("0", "0.04", "0.040001", "1234.5", "-0.003", "184.207911"))


@router.get("/_kit")
async def kit(request: Request, viewer: SignedIn) -> Response:
    """Every part in every state."""
    form = Form.of(
        {"name": "mobile-app", "limit": "600", "scope": ["agents:list"], "expires": "90", "text": "Two\nlines"}
    )
    form.error("limit", "Your plan allows 300. Enter 1 to 300.")
    return render(
        request,
        "kit/kit.html",
        viewer,
        title="Kit",
        here="kit",
        form=form,
        amounts=_AMOUNTS,
        long_name="usage-exporter-for-the-finance-teams-monthly-report-do-not-delet",
        moments=(
            now() - timedelta(seconds=12),
            now() - timedelta(minutes=40),
            now() - timedelta(days=1),
            now() - timedelta(days=400),
        ),
        page=Page(("a",), "next", is_first=False),
    )
