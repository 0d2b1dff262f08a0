from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admin.access import Operator
from app.admin.rendering import render
from app.admin.system import views
from app.admin.system.inspection import read_system
from app.admin.system.settings_shown import shown_address, shown_settings
from app.core.settings import Settings
from app.dependencies import ResourcesDep

router = APIRouter()


@router.get("/system")
async def show_system(request: Request, viewer: Operator, resources: ResourcesDep) -> Response:
    """Whether everything works, and what does not. It is drawn whatever is away but Postgres."""
    system = await read_system(resources, request.app.state.limiter)
    return render(
        request,
        "system/system.html",
        viewer,
        title="System",
        here="system",
        system=system,
        verdict=views.verdict_of(system),
        parts=views.parts_of(system, _place(resources.settings)),
        processes=views.sorted_processes(system.processes.value or ()),
        state_of=views.state_of,
        bounded=views.bounded,
        settings=shown_settings(resources.settings),
    )


def _place(settings: Settings) -> str:
    if settings.storage == "local":
        return f"Folder {settings.local_storage_dir}"
    where = f" at {shown_address(settings.s3_endpoint_url)}" if settings.s3_endpoint_url else ""
    return f"s3://{settings.s3_bucket}{where}"
