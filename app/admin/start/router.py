from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.admin.access import SignedIn
from app.admin.api_url import api_url
from app.admin.rendering import render, url
from app.admin.start.queries import read_progress
from app.dependencies import SettingsDep, TransactionDep

router = APIRouter()


@router.get("/")
async def start(request: Request, viewer: SignedIn, tx: TransactionDep, settings: SettingsDep) -> Response:
    """The first page: what is left to do until the first picture, and what one can do then."""
    if not viewer.organization_id:
        return RedirectResponse(url("organizations"), status_code=303)
    progress = await read_progress(tx, viewer.organization_id)
    return render(
        request,
        "start/start.html",
        viewer,
        title=viewer.organization_name,
        here="start",
        progress=progress,
        base_url=api_url(request, settings),
    )
