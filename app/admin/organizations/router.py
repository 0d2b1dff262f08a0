import re
import secrets
from decimal import Decimal
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.accounts.one_time_links import make_link
from app.accounts.service import choose_organization
from app.admin.access import Operator
from app.admin.errors import PageNotFoundError
from app.admin.filters import plain_money
from app.admin.forms import Form, read_form
from app.admin.organizations import queries, views
from app.admin.organizations.queries import ShownOrganization
from app.admin.paging import page_of, read_position
from app.admin.rendering import render, see_other, segment
from app.core.database import Transaction
from app.credits.adjustments import adjust
from app.credits.grants import grant_manually
from app.dependencies import SettingsDep, TransactionDep
from app.onboarding.new_organization import set_up_organization
from app.organizations import service
from app.organizations.members import is_member
from app.organizations.models import MembershipRole, SubscriptionStatus

router = APIRouter()

_PAGE_SIZE: Final = 50
_MOST: Final = Decimal(10) ** 11
_KINDS: Final = ("grant", "adjust")
# Made with the page: the same form, sent twice, is the same grant.
_ONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")


@router.get("/organizations")
async def list_organizations(
    request: Request,
    viewer: Operator,
    tx: TransactionDep,
    q: str = "",
    plan: str = "",
    state: str = "",
    cursor: str | None = None,
) -> Response:
    """All organizations, those first that need a look."""
    position = read_position(cursor, int, str, str)
    text = q.strip().replace("\0", "")[:200]
    rows = await queries.list_organizations(
        tx,
        _PAGE_SIZE + 1,
        text=text or None,
        plan=plan.replace("\0", "") or None,
        rank=views.rank_of(state),
        after=(int(position[0]), str(position[1]), str(position[2])) if position else None,
    )
    return render(
        request,
        "organizations/list.html",
        viewer,
        title="Organizations",
        here="organizations",
        page=page_of(rows, _PAGE_SIZE, lambda row: (row.rank, row.sorted_name, row.id), cursor=cursor),
        sums=await queries.sum_up(tx),
        plans=[each.name for each in await service.list_plans(tx)],
        states=views.STATES,
        query={"q": text, "plan": plan, "state": state if views.rank_of(state) is not None else ""},
    )


@router.get("/organizations/new")
async def new_organization(request: Request, viewer: Operator, tx: TransactionDep) -> Response:
    """The form of a new organization."""
    return await _new_page(request, viewer, tx, Form.of({"plan": "basic"}))


@router.post("/organizations/new")
async def create_organization(
    request: Request, viewer: Operator, tx: TransactionDep, settings: SettingsDep
) -> Response:
    """Create an organization, and show the link with which a new owner signs in. It is shown once."""
    form = await read_form(request)
    name, email = form.text("name", most=64, label="Name"), form.text("owner_email", label="Address")
    plan = form.one_of("plan", [each.name for each in await service.list_plans(tx)])
    if not form.errors and await service.find_organization(tx, name) is not None:
        form.error("name", "There is an organization of this name already. Enter another one.")
    if not form.errors:
        with form.refusing("owner_email"):
            made = await set_up_organization(tx, name=name, plan=plan, owner_email=email, actor=viewer.actor)
    if form.errors:
        return await _new_page(request, viewer, tx, form, status=422)
    owner = await service.get_member(tx, made, None)
    link = None if owner.password_hash else await make_link(tx, owner, actor=viewer.actor)
    if link is None:
        return see_other(request, f"/organizations/{made.id}", note=f"{made.name} is created.")
    return render(
        request,
        "organizations/created.html",
        viewer,
        title=made.name,
        here="organizations",
        made=made,
        owner=owner,
        link=f"{settings.public_url}/admin/first-steps/{link.token}",
        expires_at=link.expires_at,
    )


async def _new_page(
    request: Request, viewer: Operator, tx: TransactionDep, form: Form, *, status: int = 200
) -> Response:
    return render(
        request,
        "organizations/new.html",
        viewer,
        title="Create organization",
        here="organizations",
        status=status,
        form=form,
        plans=await service.list_plans(tx),
    )


@router.get("/organizations/{organization_id}")
async def show_organization(request: Request, viewer: Operator, tx: TransactionDep, organization_id: str) -> Response:
    """One organization: its credits first."""
    form = Form.of({"kind": "grant"})
    return await _page(request, viewer, tx, await _found(tx, organization_id), form)


@router.post("/organizations/{organization_id}/credits")
async def change_credits(request: Request, viewer: Operator, tx: TransactionDep, organization_id: str) -> Response:
    """Grant or adjust credits, once for a reference; without one, once for the page that the form was on."""
    shown = await _found(tx, organization_id)
    form = await read_form(request)
    kind = form.one_of("kind", _KINDS)
    amount = form.decimal("amount", least=Decimal(0) if kind == "grant" else -_MOST, most=_MOST)
    if amount == 0:
        form.error("amount", "Enter an amount other than 0.")
    reason = form.text("reason", most=500, is_optional=True)
    if not reason:
        form.error("reason", "Say why. Owners of the organization read this in their ledger.")
    reference = form.text("reference", is_optional=True)
    once = form.value("once")
    if not _ONCE.fullmatch(once):
        form.error("", "The form has lost a part of itself. Send it again from the page as it is now.")
    if form.errors or amount is None:
        return await _page(request, viewer, tx, shown, form, status=422)
    with form.refusing("reference" if reference else "amount"):
        if kind == "grant":
            granted = await grant_manually(
                tx,
                shown.id,
                amount=amount,
                reference=reference or f"grant:{once}",
                description=reason,
                actor=viewer.actor,
            )
            is_new, balance = granted.is_new, granted.balance
        else:
            adjusted = await adjust(
                tx, shown.id, amount=amount, reason=reason, reference=reference or once, actor=viewer.actor
            )
            is_new, balance = adjusted.is_new, adjusted.balance
    if form.errors:
        return await _page(request, viewer, tx, shown, form, status=422)
    done = f"{'Granted' if kind == 'grant' else 'Adjusted by'} {plain_money(amount)} credits."
    if not is_new:
        done = "That was done before, and is done once."
    note = f"{done} Available to {shown.name}: {plain_money(balance.available)}."
    return see_other(request, f"/organizations/{segment(shown.id)}", note=note)


@router.post("/organizations/{organization_id}/plan")
async def change_plan(request: Request, viewer: Operator, tx: TransactionDep, organization_id: str) -> Response:
    """Move the organization to another plan."""
    shown = await _found(tx, organization_id)
    form = await read_form(request)
    plan = form.one_of("plan", [each.name for each in await service.list_plans(tx)])
    if form.errors:
        return await _page(request, viewer, tx, shown, form, status=422)
    await service.change_plan(tx, shown.id, plan, actor=viewer.actor)
    return see_other(request, f"/organizations/{segment(shown.id)}", note=f"{shown.name} has plan {plan} now.")


@router.get("/organizations/{organization_id}/subscription")
async def ask_subscription(request: Request, viewer: Operator, tx: TransactionDep, organization_id: str) -> Response:
    """What ends with the subscription, or begins with it."""
    return _subscription_page(request, viewer, await _found(tx, organization_id), Form())


@router.post("/organizations/{organization_id}/subscription")
async def switch_subscription(request: Request, viewer: Operator, tx: TransactionDep, organization_id: str) -> Response:
    """Switch the subscription on, or off if the organization's name was typed."""
    shown = await _found(tx, organization_id)
    form = await read_form(request)
    wanted = form.one_of("status", [status.value for status in SubscriptionStatus])
    if wanted == SubscriptionStatus.INACTIVE and form.value("name").strip() != shown.name:
        form.error("name", f"Type {shown.name} as it is written here.")
    if form.errors:
        return _subscription_page(request, viewer, shown, form, status=422)
    await service.set_subscription(tx, shown.id, SubscriptionStatus(wanted), actor=viewer.actor)
    word = "on" if wanted == SubscriptionStatus.ACTIVE else "off"
    note = f"The subscription of {shown.name} is {word}."
    return see_other(request, f"/organizations/{segment(shown.id)}", note=note)


@router.post("/organizations/{organization_id}/open")
async def open_console(request: Request, viewer: Operator, tx: TransactionDep, organization_id: str) -> Response:
    """Look at the console as the organization sees it. Whoever is no member of it becomes an admin."""
    shown = await _found(tx, organization_id)
    if not await is_member(tx, shown.id, viewer.user_id):
        await service.add_member(tx, shown.id, viewer.user_id, MembershipRole.ADMIN, actor=viewer.actor)
    await choose_organization(tx, viewer.user_id, viewer.session_id, shown.id)
    return see_other(request, "/", note=f"You look at {shown.name} now.")


async def _found(tx: Transaction, organization_id: str) -> ShownOrganization:
    shown = await queries.find_organization(tx, organization_id.replace("\0", ""))
    if shown is None:
        raise PageNotFoundError
    return shown


async def _page(
    request: Request, viewer: Operator, tx: TransactionDep, shown: ShownOrganization, form: Form, *, status: int = 200
) -> Response:
    amount = Form(dict(form.values)).decimal("amount", least=-_MOST, most=_MOST) if form.value("amount") else None
    members = await queries.list_members(tx, shown.id)
    return render(
        request,
        "organizations/one.html",
        viewer,
        title=shown.name,
        here="organizations",
        status=status,
        shown=shown,
        state=views.STATES[shown.rank],
        lasts=views.lasts(shown),
        form=form,
        once=secrets.token_urlsafe(18),
        leads_to=views.after_change(shown.available, amount),
        given=await queries.list_given(tx, shown.id),
        author_of=views.author_of,
        members=members[: queries.MEMBERS_SHOWN],
        has_more_members=len(members) > queries.MEMBERS_SHOWN,
        plans=await service.list_plans(tx),
        is_member=any(each.organization_id == shown.id for each in viewer.memberships),
    )


def _subscription_page(
    request: Request, viewer: Operator, shown: ShownOrganization, form: Form, *, status: int = 200
) -> Response:
    return render(
        request,
        "organizations/subscription.html",
        viewer,
        title=f"Subscription of {shown.name}",
        here="organizations",
        status=status,
        shown=shown,
        form=form,
    )
