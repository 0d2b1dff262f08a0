"""Agents as files: written whole, and read after the reader has seen what that would change."""

import hashlib

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admin.access import Manager, SignedIn
from app.admin.agents.agent_pages import HERE
from app.admin.agents.planned import Planned, planned_of
from app.admin.agents.queries import list_chat_models
from app.admin.forms import Form, read_form
from app.admin.rendering import render, see_other
from app.agents import editing
from app.agents.changes import Change
from app.agents.service import import_agents
from app.agents.toml import read_agents
from app.core.database import Transaction
from app.core.json import storable_json
from app.dependencies import TransactionDep

router = APIRouter()

_MOST_BYTES = 500_000


@router.get("/agents/export.toml")
async def export(viewer: SignedIn, tx: TransactionDep) -> Response:
    """All agents of the organization as a file."""
    text = await editing.export_agents(tx, viewer.organization_id)
    headers = {"Content-Disposition": 'attachment; filename="agents.toml"'}
    return Response(text, media_type="application/toml; charset=utf-8", headers=headers)


@router.get("/agents/import")
async def choose(request: Request, viewer: Manager) -> Response:
    """The form for a file, or for a text of one."""
    return _page(request, viewer, Form(), None)


@router.post("/agents/import")
async def take(request: Request, viewer: Manager, tx: TransactionDep) -> Response:
    """Show what a file would change; change it once that was seen, and is still the same."""
    form = await read_form(request)
    await _take_file(form)
    planned = await _plan(tx, viewer, form)
    if planned is None or form.value("seen") != planned.seal:
        return _page(request, viewer, form, planned)
    count = await import_agents(tx, viewer.organization_id, read_agents(form.value("text")), actor=viewer.actor)
    return see_other(request, "/agents", note="1 agent is imported." if count == 1 else f"{count} agents are imported.")


async def _take_file(form: Form) -> None:
    """Put the text of an uploaded file into the form, as if it had been typed."""
    file = form.files.get("file")
    if file is None or not file.filename:
        return
    data = await file.read(_MOST_BYTES + 1)
    try:
        form.values["text"] = [data.decode("utf-8-sig").replace("\r\n", "\n")]
    except UnicodeDecodeError:
        form.error("file", f"{file.filename[:80]} is not UTF-8 text. Nothing of it was read.")


async def _plan(tx: Transaction, viewer: Manager, form: Form) -> Planned | None:
    text = form.value("text")
    if not text.strip():
        form.error("text", "Paste agents in TOML, or choose a file.")
    elif len(text.encode()) > _MOST_BYTES:
        form.error("text", f"It has more than {_MOST_BYTES:,} bytes. Import it by junis agents import, or in parts.")
    if form.errors:
        return None
    changes: list[Change] = []
    with form.refusing("text"):
        changes = await editing.preview_import(tx, viewer.organization_id, read_agents(text))
    if form.errors:
        return None
    models = [model.name for model in await list_chat_models(tx)]
    entries = await editing.list_entries(tx, viewer.organization_id)
    return planned_of(changes, entries, models, _seal(changes))


def _seal(changes: list[Change]) -> str:
    """What differs if anything else would change."""
    pairs = [[change.before and change.before.to_json(), change.after.to_json()] for change in changes]
    return hashlib.sha256(storable_json(pairs).encode()).hexdigest()


def _page(request: Request, viewer: Manager, form: Form, planned: Planned | None) -> Response:
    return render(
        request,
        "agents/import.html",
        viewer,
        title="Import agents",
        here=HERE,
        status=422 if form.errors else 409 if form.value("seen") else 200,
        form=form,
        planned=planned,
        is_other=bool(form.value("seen")),
    )
