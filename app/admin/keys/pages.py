"""The pages of keys: what each shows, and whose keys a reader sees."""

from typing import Final

from fastapi import Request
from starlette.responses import Response

from app.admin.access import Viewer
from app.admin.api_url import api_url
from app.admin.errors import PageNotFoundError
from app.admin.forms import Form
from app.admin.keys import created, key_form, queries, views
from app.admin.keys.queries import FoundKey
from app.admin.rendering import render
from app.core.clock import moment_of
from app.core.database import Transaction
from app.core.settings import Settings
from app.organizations.models import MembershipRole

HERE: Final = "keys"


async def show_new(request: Request, viewer: Viewer, tx: Transaction, form: Form) -> Response:
    """The form of a new key."""
    return render(
        request,
        "keys/new.html",
        viewer,
        title="Create API Key",
        here=HERE,
        status=_status(form),
        form=form,
        plan=await queries.read_plan(tx, viewer.organization_id),
        expiries=key_form.expiry_choices(await moment_of(tx)),
        scopes=views.scope_choices(),
    )


async def show_edit(request: Request, viewer: Viewer, tx: Transaction, key: FoundKey, form: Form) -> Response:
    """The form that changes a key."""
    at = await moment_of(tx)
    return render(
        request,
        "keys/edit.html",
        viewer,
        title=f"Change {key.name}",
        here=HERE,
        status=_status(form),
        form=form,
        key=key,
        can_change=views.can_change(key, at),
        expiries=key_form.expiry_choices(at, kept=key_form.kept_words(key)),
        scopes=views.scope_choices(),
    )


async def show_key(request: Request, viewer: Viewer, tx: Transaction, key: FoundKey, form: Form) -> Response:
    """One key, with the form of its limits."""
    at = await moment_of(tx)
    days = await queries.read_usage(tx, viewer.organization_id, key.id, at.date())
    return render(
        request,
        "keys/key.html",
        viewer,
        title=key.name,
        here=HERE,
        status=_status(form),
        form=form,
        key=key,
        at=at,
        days=days,
        totals=views.totals_of(days),
        chart=views.usage_chart(days),
        plan=await queries.read_plan(tx, viewer.organization_id),
        may_change=viewer.uses and views.can_change(key, at),
        may_rotate=viewer.uses and views.can_rotate(key, at),
        overlap=key_form.overlap_form(),
        overlaps=key_form.overlap_choices(),
        views=views,
    )


async def show_rotate(request: Request, viewer: Viewer, tx: Transaction, key: FoundKey, form: Form) -> Response:
    """The form that rotates a key."""
    return render(
        request,
        "keys/rotate.html",
        viewer,
        title=f"Rotate {key.name}",
        here=HERE,
        status=_status(form),
        form=form,
        key=key,
        can_rotate=views.can_rotate(key, await moment_of(tx)),
        overlaps=key_form.overlap_choices(),
    )


async def show_revoke(request: Request, viewer: Viewer, tx: Transaction, key: FoundKey, form: Form) -> Response:
    """What revoking a key means, and the form that does it."""
    at = await moment_of(tx)
    days = await queries.read_usage(tx, viewer.organization_id, key.id, at.date())
    return render(
        request,
        "keys/revoke.html",
        viewer,
        title=f"Revoke {key.name}?",
        here=HERE,
        status=_status(form),
        form=form,
        key=key,
        can_revoke=views.can_change(key, at),
        can_rotate=views.can_rotate(key, at),
        totals=views.totals_of(days),
    )


def snippets_of(request: Request, settings: Settings, key: FoundKey, secret: str | None) -> list[created.Snippet]:
    """Lines that work with the key, while it is shown."""
    if secret is None:
        return []
    return created.snippets_of(api_url(request, settings), secret, can_chat=created.can_chat(key.scopes))


async def find_key(tx: Transaction, viewer: Viewer, key_id: str) -> FoundKey:
    """A key that the reader may see.

    Raises:
        PageNotFoundError: there is none, in this organization or among the member's own.
    """
    require_organization(viewer)
    key = await queries.find_key(tx, viewer.organization_id, key_id.replace("\0", ""), user_id=only_of(viewer))
    if key is None:
        raise PageNotFoundError
    return key


async def replaced_by(tx: Transaction, viewer: Viewer, key: FoundKey) -> FoundKey | None:
    """The key that a new one has replaced."""
    if key.replaces is None:
        return None
    return await queries.find_key(tx, viewer.organization_id, key.replaces, user_id=only_of(viewer))


def only_of(viewer: Viewer) -> str | None:
    """Whose keys the reader sees: members their own, all others everybody's."""
    return viewer.user_id if viewer.role is MembershipRole.MEMBER else None


def require_organization(viewer: Viewer) -> None:
    """Operators may be in no organization.

    Raises:
        PageNotFoundError: the reader is in none.
    """
    if not viewer.organization_id:
        raise PageNotFoundError


def _status(form: Form) -> int:
    return 422 if form.errors else 200
