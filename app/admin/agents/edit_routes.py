"""Agents made, changed and deleted."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admin.access import Manager, SignedIn
from app.admin.agents.agent_pages import HERE, about, edit_page, look_page, new_page
from app.admin.agents.agent_paths import path_of
from app.admin.agents.entry_form import entry_from, form_of
from app.admin.forms import read_form
from app.admin.rendering import render, see_other
from app.agents import editing
from app.agents.dependencies import DefaultModelDep
from app.agents.entry import AgentEntry
from app.dependencies import TransactionDep

router = APIRouter()

_LATEST = 2**31 - 1


@router.get("/agents/new")
async def new(
    request: Request,
    viewer: Manager,
    tx: TransactionDep,
    default_model: DefaultModelDep,
    copy_of: str | None = None,
) -> Response:
    """The form of a new agent, which may begin as a copy of another one."""
    entry = AgentEntry.model_construct(name="")
    if copy_of:
        copied = await editing.get_edited(tx, viewer.organization_id, copy_of)
        entry = copied.entry.model_copy(update={"name": "", "is_orchestrator": False, "is_active": True})
    return await new_page(request, viewer, tx, default_model, form_of(entry))


@router.post("/agents/new")
async def create(request: Request, viewer: Manager, tx: TransactionDep, default_model: DefaultModelDep) -> Response:
    """Make an agent."""
    form = await read_form(request)
    entry = entry_from(form)
    if entry is not None:
        with form.refusing():
            await editing.create_agent(tx, viewer.organization_id, entry, actor=viewer.actor)
    if entry is None or form.errors:
        return await new_page(request, viewer, tx, default_model, form, status=422)
    made = await editing.get_edited(tx, viewer.organization_id, entry.name)
    return see_other(request, path_of(entry.name, made.id), note=f"{entry.name} is created.")


@router.get("/agents/{name}")
async def show(
    request: Request, viewer: SignedIn, tx: TransactionDep, default_model: DefaultModelDep, name: str
) -> Response:
    """An agent, to be changed by those who may. Its id leads to it, too."""
    agent = await editing.get_edited(tx, viewer.organization_id, name)
    if path_of(agent.entry.name, agent.id) != path_of(name, agent.id):
        return see_other(request, path_of(agent.entry.name, agent.id))
    if not viewer.manages:
        return await look_page(request, viewer, tx, default_model, agent)
    return await edit_page(request, viewer, tx, default_model, agent, form_of(agent.entry, agent.version))


@router.post("/agents/{name}")
async def change(
    request: Request, viewer: Manager, tx: TransactionDep, default_model: DefaultModelDep, name: str
) -> Response:
    """Change an agent."""
    agent = await editing.get_edited(tx, viewer.organization_id, name)
    form = await read_form(request)
    entry = entry_from(form, agent.entry)
    version = form.whole("version", least=1, most=_LATEST)
    if entry is not None and version is not None:
        with form.refusing():
            await editing.change_agent(tx, viewer.organization_id, entry, version=version, actor=viewer.actor)
    now = await editing.get_edited(tx, viewer.organization_id, agent.entry.name)
    if form.errors:
        return await edit_page(request, viewer, tx, default_model, now, form)
    note = f"{name} is saved as version {now.version}." if now.version != version else "Nothing was changed."
    return see_other(request, path_of(agent.entry.name, agent.id), note=note)


@router.get("/agents/{name}/delete")
async def ask_deletion(request: Request, viewer: Manager, tx: TransactionDep, name: str) -> Response:
    """Say what deleting an agent means, and ask for its name."""
    return await _deletion_page(request, viewer, tx, name)


@router.post("/agents/{name}/delete")
async def delete(request: Request, viewer: Manager, tx: TransactionDep, name: str) -> Response:
    """Delete an agent whose name was typed."""
    agent = await editing.get_edited(tx, viewer.organization_id, name)
    form = await read_form(request)
    form.require_typed("typed", agent.entry.name, f"Type {agent.entry.name} to delete it.")
    if not form.errors:
        with form.refusing("typed"):
            await editing.delete_agent(tx, viewer.organization_id, agent.entry.name, actor=viewer.actor)
    if form.errors:
        return await _deletion_page(request, viewer, tx, name)
    return see_other(request, "/agents", note=f"{agent.entry.name} is deleted.")


async def _deletion_page(request: Request, viewer: Manager, tx: TransactionDep, name: str) -> Response:
    agent = await editing.get_edited(tx, viewer.organization_id, name)
    form = await read_form(request)
    return render(
        request,
        "agents/delete.html",
        viewer,
        title=f"Delete {agent.entry.name}",
        here=HERE,
        status=422 if form.errors else 200,
        form=form,
        refusal=editing.why_kept(agent.entry, agent.callers),
        **await about(tx, viewer, agent),
    )
