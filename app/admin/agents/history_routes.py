"""The history of an agent."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admin.access import Manager, SignedIn
from app.admin.agents.agent_pages import HERE, about, read_past
from app.admin.agents.agent_paths import path_of
from app.admin.forms import Form, read_form
from app.admin.paging import page_of, read_position
from app.admin.rendering import render, see_other
from app.agents import editing
from app.dependencies import TransactionDep

router = APIRouter()

_PAGE_SIZE = 10
_LATEST = 2**31 - 1


@router.get("/agents/{name}/history")
async def history(
    request: Request, viewer: SignedIn, tx: TransactionDep, name: str, cursor: str | None = None
) -> Response:
    """The versions of an agent, each with what differs from the one before."""
    return await _history_page(request, viewer, tx, name, Form(), cursor=cursor)


@router.post("/agents/{name}/history")
async def restore(request: Request, viewer: Manager, tx: TransactionDep, name: str) -> Response:
    """Make an agent what it was in an earlier version."""
    agent = await editing.get_edited(tx, viewer.organization_id, name)
    form = await read_form(request)
    restored = form.whole("restored", least=1, most=_LATEST)
    version = form.whole("version", least=1, most=_LATEST)
    if restored is not None and version is not None:
        with form.refusing():
            await editing.restore_version(
                tx, viewer.organization_id, agent.entry.name, restored, version=version, actor=viewer.actor
            )
    if form.errors:
        return await _history_page(request, viewer, tx, name, form, restored=restored)
    now = await editing.get_edited(tx, viewer.organization_id, agent.entry.name)
    note = f"Version {restored} is restored, as version {now.version}."
    if now.version == version:
        note = f"{agent.entry.name} is as it was in version {restored} already."
    return see_other(request, path_of(agent.entry.name, agent.id, "history"), note=note)


async def _history_page(
    request: Request,
    viewer: SignedIn,
    tx: TransactionDep,
    name: str,
    form: Form,
    *,
    cursor: str | None = None,
    restored: int | None = None,
) -> Response:
    agent = await editing.get_edited(tx, viewer.organization_id, name)
    position = read_position(cursor, int)
    before = int(position[0]) if position else None
    past = await read_past(tx, viewer, agent, before=before, size=_PAGE_SIZE)
    return render(
        request,
        "agents/history.html",
        viewer,
        title=f"History of {agent.entry.name}",
        here=HERE,
        status=422 if form.errors else 200,
        form=form,
        restored=restored,
        page=page_of(past, _PAGE_SIZE, lambda version: (version.number or agent.version,), cursor=cursor),
        **await about(tx, viewer, agent),
    )
