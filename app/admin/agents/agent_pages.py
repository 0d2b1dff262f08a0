"""The pages of single agents: what they show, read in one transaction."""

from typing import Any, Final

from fastapi import Request
from starlette.responses import HTMLResponse

from app.admin.access import Viewer
from app.admin.agents.agent_paths import path_of
from app.admin.agents.agent_words import TYPE_CHOICES, TYPE_WORDS
from app.admin.agents.editor import Missed, choices_of
from app.admin.agents.past import PastVersion, alterations_of, past_of, summary_of, who_of
from app.admin.agents.queries import find_emails, list_chat_models, list_known
from app.admin.forms import Form
from app.admin.rendering import render
from app.agents import editing
from app.agents.editing import EditedAgent
from app.agents.entry import stored_entry
from app.core.database import Transaction

HERE: Final = "agents"
_EARLIER: Final = 4
_WHY_OFF: Final = "is off: agents that call it leave it out."


async def new_page(
    request: Request, viewer: Viewer, tx: Transaction, default_model: str, form: Form, *, status: int = 200
) -> HTMLResponse:
    """The form of a new agent."""
    entries = await editing.list_entries(tx, viewer.organization_id)
    models = await list_chat_models(tx)
    return render(
        request,
        "agents/edit.html",
        viewer,
        title="Create agent",
        here=HERE,
        status=status,
        form=form,
        agent=None,
        choices=choices_of(form, None, entries, models, default_model),
        types=TYPE_CHOICES,
        missed=None,
    )


async def edit_page(
    request: Request, viewer: Viewer, tx: Transaction, default_model: str, agent: EditedAgent, form: Form
) -> HTMLResponse:
    """The form of an agent. If the agent has another version than the form was made from, it says what it missed."""
    entries = await editing.list_entries(tx, viewer.organization_id)
    models = await list_chat_models(tx)
    missed = await _missed(tx, viewer, agent, form)
    form.values["version"] = [str(agent.version)]
    if missed:
        # What was missed says more than the refusal.
        form.errors.pop("", None)
    return render(
        request,
        "agents/edit.html",
        viewer,
        title=agent.entry.name,
        here=HERE,
        status=409 if missed else 422 if form.errors else 200,
        form=form,
        choices=choices_of(form, agent.entry.name, entries, models, default_model),
        types=TYPE_CHOICES,
        missed=missed,
        **await about(tx, viewer, agent),
    )


async def look_page(
    request: Request, viewer: Viewer, tx: Transaction, default_model: str, agent: EditedAgent
) -> HTMLResponse:
    """An agent for those who may not change it."""
    return render(
        request,
        "agents/look.html",
        viewer,
        title=agent.entry.name,
        here=HERE,
        default_model=default_model,
        type_words=TYPE_WORDS,
        **await about(tx, viewer, agent),
    )


async def about(tx: Transaction, viewer: Viewer, agent: EditedAgent) -> dict[str, Any]:
    """What every page of an agent shows of it: its address, its callers, its last versions."""
    known = await list_known(tx, viewer.organization_id)
    past = await read_past(tx, viewer, agent, before=None, size=_EARLIER)
    return {
        "agent": agent,
        "path": path_of(agent.entry.name, agent.id),
        "paths": {name: path_of(name, each.id) for name, each in known.items()},
        "earlier": [(summary_of(version), version) for version in past[:_EARLIER]],
    }


async def read_past(
    tx: Transaction, viewer: Viewer, agent: EditedAgent, *, before: int | None, size: int
) -> list[PastVersion]:
    """Versions of an agent before one, or the newest: up to `size`, and one more if there are more."""
    versions = await editing.list_versions(tx, viewer.organization_id, agent.id, before=before, limit=size + 2)
    emails = await find_emails(tx, {version.actor_id for version in versions if version.actor_id})
    known = await list_known(tx, viewer.organization_id)
    updated_at = known[agent.entry.name].updated_at
    past = past_of(versions, agent.entry, updated_at, emails, is_newest=before is None)
    return past[: size + 1]


async def _missed(tx: Transaction, viewer: Viewer, agent: EditedAgent, form: Form) -> Missed | None:
    typed = form.value("version")
    if typed == str(agent.version) or not typed.isascii() or not typed.isdigit():
        return None
    versions = await editing.list_versions(tx, viewer.organization_id, agent.id, limit=1)
    seen = await editing.list_versions(
        tx, viewer.organization_id, agent.id, before=min(int(typed), agent.version) + 1, limit=1
    )
    emails = await find_emails(tx, {version.actor_id for version in versions if version.actor_id})
    who = who_of(versions[0], emails) if versions else "Somebody"
    before = stored_entry(seen[0].definition) if seen else None
    return Missed(who, agent.version, alterations_of(before, agent.entry))
