from datetime import datetime
from decimal import Decimal

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.admin.access import MemberUser, SignedIn, Viewer
from app.admin.forms import Form, read_form
from app.admin.keys import created, key_form, pages, queries, views
from app.admin.keys.queries import STATES, Selection
from app.admin.paging import page_of, read_position
from app.admin.rendering import render, see_other, segment, url
from app.api_keys import service, showing
from app.api_keys.key_format import is_well_formed, shown_prefix
from app.api_keys.service import NewKey
from app.core.clock import moment_of
from app.core.database import Transaction
from app.core.settings import Settings
from app.dependencies import SettingsDep, TransactionDep

router = APIRouter()

_PAGE_SIZE = 50


@router.get("/keys")
async def list_keys(
    request: Request,
    viewer: SignedIn,
    tx: TransactionDep,
    q: str = "",
    state: str = "usable",
    maker: str = "",
    cursor: str | None = None,
) -> Response:
    """The organization's keys, the newest first; a member's own ones."""
    pages.require_organization(viewer)
    if is_well_formed(q.strip()):
        # Somebody looks for a key by the key itself, which must not stay in the browser's history.
        prefix = shown_prefix(q.strip())
        return RedirectResponse(url("keys", q=prefix, state=state, maker=maker), status_code=303)
    selection = Selection(
        state=state if state in STATES else "usable",
        search=q.strip().replace("\0", ""),
        user_id=viewer.user_id if maker == "me" else pages.only_of(viewer),
    )
    keys = await queries.list_keys(tx, viewer.organization_id, selection, _position(cursor), _PAGE_SIZE + 1)
    page = page_of(keys, _PAGE_SIZE, lambda key: (key.created_at.isoformat(), key.id), cursor=cursor)
    at = await moment_of(tx)
    return render(
        request,
        "keys/list.html",
        viewer,
        title="API Keys",
        here=pages.HERE,
        page=page,
        spent=await queries.read_spent(tx, viewer.organization_id, [key.id for key in page.rows], at.date()),
        selection=selection,
        nothing=Decimal(0),
        is_mine=maker == "me",
        presence=await queries.read_presence(tx, viewer.organization_id, user_id=pages.only_of(viewer)),
        at=at,
        views=views,
    )


@router.get("/keys/new")
async def new_key(request: Request, viewer: MemberUser, tx: TransactionDep) -> Response:
    """The form of a new key."""
    return await pages.show_new(request, viewer, tx, key_form.new_form())


@router.post("/keys/new")
async def create_key(request: Request, viewer: MemberUser, tx: TransactionDep, settings: SettingsDep) -> Response:
    """Create the key, and lead to the page that shows it once."""
    form = await read_form(request)
    plan = await queries.read_plan(tx, viewer.organization_id)
    wanted = key_form.read_request(form, plan, await moment_of(tx))
    if not form.errors:
        with form.refusing("name"):
            new = await service.create_key(
                tx, wanted, organization_id=viewer.organization_id, user_id=viewer.user_id, actor=viewer.actor
            )
            return await _lead_to_secret(request, viewer, tx, settings, new)
    return await pages.show_new(request, viewer, tx, form)


@router.get("/keys/created")
async def show_created(
    request: Request, viewer: MemberUser, tx: TransactionDep, settings: SettingsDep, key: str = ""
) -> Response:
    """A new key, once. Later the page says that it cannot be shown again."""
    found = await pages.find_key(tx, viewer, key)
    token = created.read_cookie(request, key)
    secret = await showing.show_once(tx, key_id=key, user_id=viewer.user_id, token=token) if token else None
    at = await moment_of(tx)
    response = render(
        request,
        "keys/created.html",
        viewer,
        title=found.name,
        here=pages.HERE,
        status=200 if secret else 410,
        key=found,
        secret=secret,
        snippets=pages.snippets_of(request, settings, found, secret),
        can_rotate=views.can_rotate(found, at),
        replaced=await pages.replaced_by(tx, viewer, found),
        views=views,
    )
    response.headers["Cache-Control"] = "no-store"
    created.forget_cookie(response, key)
    return response


@router.get("/keys/{key_id}")
async def show_key(key_id: str, request: Request, viewer: SignedIn, tx: TransactionDep) -> Response:
    """One key: its state, what it has used, what it may do."""
    key = await pages.find_key(tx, viewer, key_id)
    return await pages.show_key(request, viewer, tx, key, key_form.limits_form_of(key))


@router.post("/keys/{key_id}")
async def change_limits(key_id: str, request: Request, viewer: MemberUser, tx: TransactionDep) -> Response:
    """Change the limits of a key, in every process at once."""
    key = await pages.find_key(tx, viewer, key_id)
    form = await read_form(request)
    changes = key_form.read_limits(form, await queries.read_plan(tx, viewer.organization_id))
    if not form.errors:
        with form.refusing():
            await service.change_key(tx, viewer.organization_id, key_id, changes, actor=viewer.actor)
            return see_other(request, _path(key_id), note=f"The limits of {key.name} are saved. They hold from now on.")
    return await pages.show_key(request, viewer, tx, key, form)


@router.get("/keys/{key_id}/edit")
async def edit_key(key_id: str, request: Request, viewer: MemberUser, tx: TransactionDep) -> Response:
    """The form that changes a key."""
    key = await pages.find_key(tx, viewer, key_id)
    return await pages.show_edit(request, viewer, tx, key, key_form.form_of(key))


@router.post("/keys/{key_id}/edit")
async def change_key(key_id: str, request: Request, viewer: MemberUser, tx: TransactionDep) -> Response:
    """Change what a key is called, what it may do, and when it expires."""
    key = await pages.find_key(tx, viewer, key_id)
    form = await read_form(request)
    changes = key_form.read_changes(form, key, await moment_of(tx))
    if not form.errors:
        with form.refusing():
            await service.change_key(tx, viewer.organization_id, key_id, changes, actor=viewer.actor)
            return see_other(request, _path(key_id), note=f"{changes['name']} is saved. It holds from now on.")
    return await pages.show_edit(request, viewer, tx, key, form)


@router.get("/keys/{key_id}/rotate")
async def ask_overlap(key_id: str, request: Request, viewer: MemberUser, tx: TransactionDep) -> Response:
    """How long the old key is to go on working beside the new one."""
    return await pages.show_rotate(
        request, viewer, tx, await pages.find_key(tx, viewer, key_id), key_form.overlap_form()
    )


@router.post("/keys/{key_id}/rotate")
async def rotate_key(
    key_id: str, request: Request, viewer: MemberUser, tx: TransactionDep, settings: SettingsDep
) -> Response:
    """Create the key that replaces this one, and lead to the page that shows it once."""
    key = await pages.find_key(tx, viewer, key_id)
    form = await read_form(request)
    overlap = key_form.read_overlap(form)
    if not form.errors:
        with form.refusing():
            new = await service.rotate_key(tx, viewer.organization_id, key_id, overlap=overlap, actor=viewer.actor)
            return await _lead_to_secret(request, viewer, tx, settings, new)
    return await pages.show_rotate(request, viewer, tx, key, form)


@router.get("/keys/{key_id}/revoke")
async def ask_name(key_id: str, request: Request, viewer: MemberUser, tx: TransactionDep) -> Response:
    """What stops and what stays if the key is revoked."""
    return await pages.show_revoke(request, viewer, tx, await pages.find_key(tx, viewer, key_id), Form())


@router.post("/keys/{key_id}/revoke")
async def revoke_key(key_id: str, request: Request, viewer: MemberUser, tx: TransactionDep) -> Response:
    """Make the key unusable for good, if its name was typed."""
    key = await pages.find_key(tx, viewer, key_id)
    form = await read_form(request)
    reason = form.text("reason", most=300, is_optional=True, label="A reason")
    form.require_typed("name", key.name, "That is not its name. Nothing was revoked.")
    if not form.errors:
        with form.refusing():
            await service.revoke_key(tx, viewer.organization_id, key_id, reason=reason, actor=viewer.actor)
            return see_other(request, "/keys", note=f"{key.name} is revoked. Calls with it answer 401.")
    return await pages.show_revoke(request, viewer, tx, key, form)


async def _lead_to_secret(
    request: Request, viewer: Viewer, tx: Transaction, settings: Settings, new: NewKey
) -> RedirectResponse:
    token = await showing.keep_for_showing(tx, key_id=new.row.id, user_id=viewer.user_id, secret=new.secret)
    response = see_other(request, f"/keys/created?key={segment(new.row.id)}")
    created.keep_cookie(response, request, settings, new.row.id, token)
    return response


def _position(cursor: str | None) -> tuple[datetime, str] | None:
    position = read_position(cursor, str, str)
    try:
        return (datetime.fromisoformat(str(position[0])), str(position[1])) if position else None
    except ValueError:
        return None


def _path(key_id: str) -> str:
    return f"/keys/{segment(key_id)}"
