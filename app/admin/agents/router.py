"""The pages of agents. Those whose addresses have a word at the place of a name come first."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admin.access import SignedIn
from app.admin.agents import edit_routes, history_routes, import_routes
from app.admin.agents.agent_pages import HERE
from app.admin.agents.agent_paths import path_of
from app.admin.agents.overview import overview_of
from app.admin.agents.queries import list_known, sum_spent
from app.admin.rendering import render
from app.agents import editing
from app.agents.dependencies import DefaultModelDep
from app.dependencies import TransactionDep

router = APIRouter()


@router.get("/agents")
async def list_agents(
    request: Request, viewer: SignedIn, tx: TransactionDep, default_model: DefaultModelDep
) -> Response:
    """Who calls whom, and all agents."""
    entries = await editing.list_entries(tx, viewer.organization_id)
    known = await list_known(tx, viewer.organization_id)
    spent = await sum_spent(tx, viewer.organization_id)
    shown = {name: entry for name, entry in entries.items() if name in known}
    changed_at = {name: each.updated_at for name, each in known.items()}
    return render(
        request,
        "agents/list.html",
        viewer,
        title="Agents",
        here=HERE,
        overview=overview_of(shown, changed_at, spent, default_model),
        paths={name: path_of(name, each.id) for name, each in known.items()},
        default_model=default_model,
    )


router.include_router(import_routes.router)
router.include_router(edit_routes.router)
router.include_router(history_routes.router)
